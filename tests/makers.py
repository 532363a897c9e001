"""Make what database tests need, each by the transition that makes it in production."""

import itertools
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import Permission, User
from django.db import connection

from audience.importing.copying import CustomerRow, EventRow, import_customers, import_events
from audience.keeping.partitions import make_partitions, month_of
from audience.models import Customer, Scope, Source
from audience.sources.keys import create_source
from campaigns.lifecycle.drafting import CampaignPlan, Split, add_offers, draft_campaign
from campaigns.lifecycle.status import start_campaign
from campaigns.models import Campaign, Offer, Placement
from experiments.assigning.assignment import BUCKETS
from experiments.assigning.exposures import RECORD
from experiments.lifecycle.design import digest_design
from experiments.lifecycle.drafting import ArmPlan, plan_experiment
from experiments.lifecycle.status import start_experiment
from experiments.models import Arm, Experiment, Metric, Review
from experiments.models import Status as ExperimentStatus
from recommender.decision_ids import RANDOM_BITS, decision_id, decision_partition
from recommender.decisions import LOG, Logged, to_json
from recommender.models import Decision, Policy
from recommender.weighing.features import FeatureSpec

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
TWO_ARMS = (ArmPlan("control", "Control", 5000, is_control=True), ArmPlan("new", "New", 5000))

# All of one length, so that names sort as they were made.
_numbers = itertools.count(100_001)


def unique(prefix: str) -> str:
    """Return a name that no other maker of this process used."""
    return f"{prefix}-{next(_numbers)}"


def make_user(*permissions: str, is_staff: bool = True, is_superuser: bool = False) -> User:
    """Make an account; permissions are written `experiments.view_experiment`."""
    user = User.objects.create_user(unique("user"), is_staff=is_staff, is_superuser=is_superuser)
    for permission in permissions:
        app, _, codename = permission.partition(".")
        user.user_permissions.add(
            Permission.objects.get(content_type__app_label=app, codename=codename)
        )
    return user


def make_source(*scopes: Scope) -> tuple[Source, str]:
    """Make a source and return it with its key."""
    return create_source(unique("source"), scopes=scopes)


def make_customers(n: int, *, attributes: Mapping[str, Any] | None = None) -> list[Customer]:
    """Make customers, all with the same attributes."""
    keys = [unique("customer") for _ in range(n)]
    import_customers(CustomerRow(key, attributes or {}) for key in keys)
    found = Customer.objects.in_bulk(keys, field_name="external_key")
    return [found[key] for key in keys]


def make_customer(*, attributes: Mapping[str, Any] | None = None) -> Customer:
    """Make one customer."""
    return make_customers(1, attributes=attributes)[0]


def merge(visitor: Customer, *, into: Customer) -> None:
    """Let a visitor turn out to be a customer, as the intake of events does."""
    Customer.objects.filter(pk=visitor.pk).update(merged_into=into)


def make_event(
    customer: Customer,
    name: str,
    *,
    at: datetime,
    value: float | None = None,
    properties: Mapping[str, Any] | None = None,
) -> None:
    """Let something happen to a customer."""
    make_events([event_row(customer, name, at=at, value=value, properties=properties)])


def event_row(
    customer: Customer,
    name: str,
    *,
    at: datetime,
    value: float | None = None,
    properties: Mapping[str, Any] | None = None,
) -> EventRow:
    """Write an event that nobody sent before, for `make_events`."""
    message_id = secrets.token_hex(8)
    return EventRow(customer.external_key, name, at, message_id, value, properties or {})


def make_events(rows: Sequence[EventRow]) -> None:
    """Let many things happen at once."""
    source, _ = Source.objects.get_or_create(name="tests")
    import_events(rows, source=source)


def make_metric(
    event: str = "Order Completed", *, kind: str = "conversion", **params: Any
) -> Metric:
    """Make a metric of one event; `window_days` and `of` go into its parameters."""
    key = unique("metric")
    return Metric.objects.create(
        key=key, name=key.capitalize(), kind=kind, params={"event": event, **params}
    )


def make_experiment(
    *,
    goal: Metric | None = None,
    others: Sequence[Metric] = (),
    arms: Sequence[ArmPlan] = TWO_ARMS,
    planned_customers: int = 100,
    started_at: datetime | None = NOW,
    **promises: Any,
) -> Experiment:
    """Plan an experiment, and start it unless `started_at` is None.

    Whatever else `plan_experiment` takes can be given by name. Its seed is the same in every run,
    so that nobody falls into another arm, or a hold-out, once in a hundred runs.
    """
    key = unique("experiment")
    promises.setdefault("seed", f"experiment {Experiment.objects.count()}")
    experiment = plan_experiment(
        key=key,
        name=key.capitalize(),
        arms=arms,
        goal=goal or make_metric(),
        others=others,
        planned_customers=planned_customers,
        **promises,
    )
    if started_at is not None:
        if experiment.is_standalone:
            approve(experiment, now=started_at)
        start_experiment(experiment, by=None, now=started_at)
    return experiment


def make_holdout(
    *, percent: int = 50, started_at: datetime | None = NOW, **promises: Any
) -> Experiment:
    """Hold so many of all customers out from all campaigns, unless `started_at` is None."""
    held = BUCKETS * percent // 100
    arms = (
        ArmPlan("held-out", "Held out", held, is_control=True),
        ArmPlan("open", "Open", BUCKETS - held),
    )
    return make_experiment(
        arms=arms,
        started_at=started_at,
        is_standalone=True,
        is_holdout=True,
        is_global=True,
        **promises,
    )


def approve(experiment: Experiment, *, now: datetime = NOW) -> None:
    """Let somebody approve a draft that somebody else asked for, whatever a pre-flight says."""
    Review.objects.create(
        experiment=experiment,
        digest=digest_design(experiment),
        requested_by=make_user(),
        requested_at=now,
        answered_by=make_user(),
        answered_at=now,
        is_approved=True,
    )
    Experiment.objects.filter(pk=experiment.pk).update(status=ExperimentStatus.APPROVED)


def expose(
    experiment: Experiment, customers: Customer | Sequence[Customer], arm: str, *, at: datetime
) -> None:
    """Let customers meet an arm, by the statement that the decide API uses."""
    met = [customers] if isinstance(customers, Customer) else list(customers)
    arm_id = Arm.objects.get(experiment=experiment, key=arm).pk
    with connection.cursor() as cursor:
        cursor.execute(
            RECORD,
            {
                "experiments": [experiment.pk] * len(met),
                "customers": [customer.pk for customer in met],
                "arms": [arm_id] * len(met),
                "times": [at] * len(met),
            },
        )


def make_placement() -> Placement:
    """Make a place for offers."""
    key = unique("placement")
    return Placement.objects.create(key=key, name=key.capitalize())


def make_offer(**values: Any) -> Offer:
    """Make an offer."""
    key = values.pop("key", None) or unique("offer")
    return Offer.objects.create(
        key=key, name=values.pop("name", key.capitalize()), headline=f"Take {key}", **values
    )


def make_campaign(
    *,
    offers: Sequence[Offer] | None = None,
    placement: Placement | None = None,
    goal: Metric | None = None,
    split: Split | None = None,
    started_at: datetime | None = NOW,
    planned_customers: int = 100,
    **plan: Any,
) -> Campaign:
    """Draft a campaign with offers (two, unless given), and start it unless `started_at` is None.

    Whatever else `CampaignPlan` takes can be given by name. Its seed is the same in every run.
    """
    key = plan.pop("key", None) or unique("campaign")
    plan.setdefault("seed", f"campaign {Campaign.objects.count()}")
    campaign = draft_campaign(
        CampaignPlan(
            key=key,
            name=plan.pop("name", key.capitalize()),
            placement=placement or make_placement(),
            goal=goal or make_metric(),
            planned_customers=planned_customers,
            split=split or Split(),
            **plan,
        )
    )
    add_offers(campaign, [make_offer(), make_offer()] if offers is None else offers)
    if started_at is not None:
        start_campaign(campaign, by=None, now=started_at)
    return campaign


def make_policy(
    *,
    offers: Sequence[str] = ("red", "blue"),
    features: FeatureSpec | None = None,
    reward_event: str = "Order Completed",
    reward_kind: str = "any",
    reward_window_seconds: int = 3600,
    kind: str = "linear_thompson",
    **values: Any,
) -> Policy:
    """Make a policy by itself, without a campaign."""
    key = unique("policy")
    return Policy.objects.create(
        key=key,
        name=key.capitalize(),
        kind=kind,
        features=(features or FeatureSpec(())).to_json(),
        offers=list(offers),
        reward_event=reward_event,
        reward_kind=reward_kind,
        reward_window_seconds=reward_window_seconds,
        **values,
    )


def logged(
    policy: Policy,
    customer: Customer,
    offer: str | None,
    *,
    at: datetime,
    campaign: str = "spring",
    attributes: Mapping[str, object] | None = None,
    held_back: bool = False,
    cost_cents: int = 0,
) -> Logged:
    """Write down a decision drawn evenly from the policy's offers; None is a hold-out's."""
    weights = [1 / len(policy.offers)] * len(policy.offers)
    return Logged(
        id=decision_id(at, entropy=secrets.randbits(RANDOM_BITS)),
        decided_at=at,
        customer_key=customer.external_key,
        campaign=campaign,
        placement="home",
        arm="hold-out" if offer is None else "personalised",
        policy_id=policy.pk,
        policy_version=None,
        offer=offer,
        propensity=1.0 if offer is None else weights[0],
        due_at=at + timedelta(seconds=policy.reward_window_seconds),
        eligible=() if offer is None else tuple(policy.offers),
        weights=() if offer is None else weights,
        features=FeatureSpec.from_json(policy.features).encode(attributes or {}).tolist(),
        reasons=["made by a test"],
        held_back=held_back,
        cost_cents=cost_cents,
    )


def log_all(decisions: Sequence[Logged]) -> None:
    """Log decisions by the decide API's own statement, in the test's transaction."""
    make_partitions(
        [decision_partition(m) for m in sorted({month_of(d.decided_at) for d in decisions})]
    )
    with connection.cursor() as cursor:
        cursor.execute(LOG, {"items": to_json(decisions)})


def make_decision(
    policy: Policy, customer: Customer, offer: str | None = "red", *, at: datetime, **values: Any
) -> Decision:
    """Log one decision."""
    decision = logged(policy, customer, offer, at=at, **values)
    log_all([decision])
    return Decision.objects.get(pk=decision.id)
