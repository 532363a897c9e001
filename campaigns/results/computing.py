"""Computes what a campaign was worth and stores it, whenever its experiment was analysed anew."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from audience.commerce import CANCELLED, ORDERED, REFUNDED
from campaigns.deciding.snapshot import Serves
from campaigns.models import Campaign, CampaignResult, Offer
from campaigns.results.offers import (
    GOALS,
    REVENUE,
    WEIGHTED_GOALS,
    WEIGHTED_NET,
    WEIGHTED_REVENUE,
    plain_mean,
    to_json,
    value_of,
)
from campaigns.results.queries import (
    OfferLog,
    find_currencies,
    margin_of,
    read_offers,
    write_cost,
)
from campaigns.results.values import unit_of
from campaigns.results.worth import Line, to_groups, to_rows
from experiments.analysing.reporting import to_phases
from experiments.measuring.evidence import label_arms, nobody
from experiments.measuring.layout import Placed
from experiments.measuring.queries import ArmMoments, count_exposures, find_layout, measure
from experiments.metrics.columns import Events, Given, Total
from experiments.models import Analysis, Arm
from experiments.plan import Adjustment, Plan
from experiments.planning.phases import Phases, find_weights
from experiments.planning.versions import draft_plan, read_plan
from experiments.sql.columns import Scope
from experiments.sql.statements import AttributeDimension
from experiments.wording import Unit, say_list
from recommender.models.rankings import Product

# A result rests so many times as long as it took: results have a twentieth of one worker at most.
RESTS = 20
# A ranking has thousands of products; of so many the result says what each has done.
MOST_OFFERS = 200
COST = "cost"
# Orders less refunds and orders less cancellations, less orders once, are orders less both.
MONEY = (
    Total("sum", Events(ORDERED), less=Events(REFUNDED)),
    Total("sum", Events(ORDERED), less=Events(CANCELLED)),
    Total("sum", Events(ORDERED)),
    Given(COST),
)
REVENUE_WEIGHTS = (1.0, 1.0, -1.0, 0.0)
COST_WEIGHTS = (0.0, 0.0, 0.0, 1.0)


def find_due(*, now: datetime) -> QuerySet[Campaign]:
    """Find the campaigns whose experiment was analysed since their result was computed.

    One that takes long rests for a while, so that workers have time for everything else.
    """
    newest = Analysis.objects.filter(experiment=OuterRef("experiment")).order_by("-computed_at")
    return (
        Campaign.objects.annotate(analysed_at=Subquery(newest.values("computed_at")[:1]))
        .filter(
            Q(result=None)
            | Q(result__computed_at__lt=F("analysed_at"), result__rests_until__lte=now),
            analysed_at__isnull=False,
        )
        .select_related("experiment", "policy")
        .order_by("pk")
    )


def compute_result(campaign: Campaign, *, now: datetime) -> CampaignResult:
    """Compare a campaign with its hold-out, and its offers with each other, as of now."""
    began = time.monotonic()
    until = _find_end(campaign, now=now)
    exposed = count_exposures(campaign.experiment_id, now=until)
    since = min((group.first_at for group in exposed), default=until)
    report = _report(campaign, since=since, until=until)
    rests = RESTS * timedelta(seconds=time.monotonic() - began)
    result, _ = CampaignResult.objects.update_or_create(
        campaign=campaign,
        defaults={"computed_at": now, "rests_until": now + rests, "report": report},
    )
    return result


def _find_end(campaign: Campaign, *, now: datetime) -> datetime:
    """Return until when what customers do is counted: the last decision's window is waited for."""
    stopped_at = campaign.experiment.stopped_at
    if stopped_at is None:
        return now
    return min(now, stopped_at + timedelta(seconds=campaign.policy.reward_window_seconds))


def _report(campaign: Campaign, *, since: datetime, until: datetime) -> dict[str, Any]:
    plan = _find_plan(campaign)
    arms = list(campaign.experiment.arms.all())
    scope = Scope(
        campaign.experiment_id,
        since,
        until,
        given={COST: write_cost(campaign, since=since, now=until)},
    )
    layout = find_layout(scope, [plan.goal], Adjustment(days=0))
    columns = [*layout.columns, *MONEY]
    dimensions = [AttributeDimension(name) for name in plan.segments]
    changed = find_weights(list(campaign.experiment.plans.all()))
    found = measure(scope, columns, dimensions, phases=changed.starts)
    found_logs = read_offers(campaign, since=since, now=until)
    logs = sorted(found_logs, key=lambda log: log.given, reverse=True)[:MOST_OFFERS]
    offers = {offer.key: offer for offer in Offer.objects.filter(key__in=[o.key for o in logs])}
    products = {
        product.key: product
        for product in Product.objects.filter(key__in={log.key for log in logs} - offers.keys())
    }
    currencies = find_currencies(campaign, since=since, now=until)
    unit, problem = _find_currency(list(offers.values()), currencies)
    margin = margin_of(campaign.policy)
    money = _money_lines(plan, len(layout.columns), unit, margin=margin)
    lines = [
        _goal_line(layout.goal, plan),
        *(line.without(problem) if problem else line for line in money),
    ]
    silent = [arm.key for arm in arms if arm.named_values.get("serves") == Serves.NOTHING]
    groups = to_groups(
        to_phases(found.phases, changed.weights, arms, len(columns)),
        silent=silent,
        nobody=nobody(len(columns)),
    )
    labels = label_arms(arms)
    return {
        "since": since.isoformat(),
        "until": until.isoformat(),
        "confidence": plan.confidence,
        "currency": unit,
        "margin": margin,
        "problem": problem,
        "held_out": groups.held_out.n,
        "served": groups.served.n,
        "arms": [
            {"key": arm.key, "name": labels[arm.pk], "customers": groups.arms[arm.key].n}
            for arm in arms
            if arm.key in groups.arms
        ],
        "goal_unit": unit_of(campaign.policy),
        "window_seconds": campaign.policy.reward_window_seconds,
        "rows": to_rows(lines, groups, planned=plan.planned_customers),
        "segments": _segments(
            plan, found, changed, arms, lines, silent=silent, columns=len(columns)
        ),
        "offers": [
            _offer(log, offers.get(log.key), plan, problem)
            | {"name": str(offers.get(log.key) or products.get(log.key) or log.key)}
            for log in logs
        ],
        "offers_left_out": len(found_logs) - len(logs),
    }


def _find_plan(campaign: Campaign) -> Plan:
    version = campaign.experiment.plans.last()
    return draft_plan(campaign.experiment) if version is None else read_plan(version)


def _find_currency(offers: Sequence[Offer], ordered: Sequence[str]) -> tuple[Unit, str]:
    """Return the one currency of offers and orders; or none, and why nothing can be added up."""
    found = sorted({*ordered, *(offer.currency for offer in offers if offer.cost_cents)})
    if not found:
        found = sorted({offer.currency for offer in offers})[:1]
    if len(found) > 1:
        return "number", (
            f"Orders and costs are in {say_list(found)}, and cannot be added up without a rate."
        )
    return (found[0] if found else "number"), ""


def _goal_line(goal: Placed, plan: Plan) -> Line:
    measured = goal.measured
    return Line(
        "goal",
        measured.planned.name,
        measured.type.unit(measured.params),
        goal.value,
        lambda pairs, shares: goal.compare(pairs, confidence=plan.confidence, shares=shares),
    )


def _money_lines(plan: Plan, at: int, unit: Unit, *, margin: float) -> list[Line]:
    """Return the lines of money; `at` is the place of its first column."""

    def of_money(key: str, name: str, weights: Sequence[float]) -> Line:
        by_place = {at + place: weight for place, weight in enumerate(weights) if weight}
        return Line.of_money(key, name, unit, by_place, confidence=plan.confidence)

    kept = "revenue" if margin == 1.0 else f"{margin:.4g} of revenue"
    net = [
        margin * revenue - cost for revenue, cost in zip(REVENUE_WEIGHTS, COST_WEIGHTS, strict=True)
    ]
    return [
        of_money("revenue", "Revenue", REVENUE_WEIGHTS),
        of_money("cost", "Cost of offers", COST_WEIGHTS),
        of_money("net", f"Net: {kept} less cost", net),
    ]


def _segments(
    plan: Plan,
    found: ArmMoments,
    changed: Phases,
    arms: Sequence[Arm],
    lines: Sequence[Line],
    *,
    silent: Sequence[str],
    columns: int,
) -> list[dict[str, Any]]:
    segments = []
    for dimension, by_value in zip(plan.segments, found.segment_phases, strict=True):
        for value, parts in sorted(by_value.items()):
            groups = to_groups(
                to_phases(parts, changed.weights, arms, columns),
                silent=silent,
                nobody=nobody(columns),
            )
            segments.append(
                {
                    "dimension": dimension,
                    "value": value,
                    "held_out": groups.held_out.n,
                    "served": groups.served.n,
                    "rows": to_rows(lines, groups, planned=plan.planned_customers),
                }
            )
    return segments


def _offer(log: OfferLog, offer: Offer | None, plan: Plan, problem: str) -> dict[str, Any]:
    moments, confidence = log.moments, plan.confidence
    values = {
        "goal": value_of(moments, WEIGHTED_GOALS, confidence=confidence),
        "revenue": value_of(moments, WEIGHTED_REVENUE, confidence=confidence),
        "net": value_of(moments, WEIGHTED_NET, confidence=confidence),
    }
    return {
        "key": log.key,
        "given": log.given,
        "customers": log.customers,
        "goals": log.goals,
        "revenue": None if problem else log.revenue,
        "cost": None if problem else log.cost,
        "values": {
            name: {"withheld": problem} if problem and name != "goal" else to_json(value)
            for name, value in values.items()
        },
        "plain": {
            "goal": plain_mean(moments, GOALS),
            "revenue": None if problem else plain_mean(moments, REVENUE),
        },
    }
