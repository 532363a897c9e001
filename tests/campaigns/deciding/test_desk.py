"""Decisions for many at once: limits hold exactly, and without the database nothing is lost."""

import asyncio
from collections import Counter as Count
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
import time_machine
from django.utils import timezone
from psycopg import AsyncConnection

from audience.audiences.saving import save_rule
from audience.customers.finding import Name
from audience.models import Audience, Customer, Identity
from campaigns.deciding.decide import Slot
from campaigns.deciding.desk import Batch, Desk, Outcome, Visit
from campaigns.deciding.spool import SUFFIX
from campaigns.lifecycle.drafting import Split
from campaigns.models import Campaign, Cap, Counter, Offer, OfferContent, Pacing
from campaigns.results.computing import compute_result
from experiments.models import Exposure
from recommender.models import Decision, Reward
from tests.asgi import database_url
from tests.campaigns.offices import NOWHERE, open_office, shown, start, used, visit
from tests.makers import (
    DAY,
    HOUR,
    event_row,
    make_campaign,
    make_customers,
    make_events,
    make_offer,
    make_placement,
)
from tests.racing import end_sessions, locked_table, wait_for_blocked

pytestmark = pytest.mark.django_db(transaction=True)

T = TypeVar("T")


def test_deciding_reads_no_table_as_a_whole(tmp_path: Path) -> None:
    campaign = start(offers=[make_offer(cap_per_customer=3), make_offer()])
    grown = "^(audience_(customer|identity)|recommender_(decision|reward)|experiments_exposure)"
    make_customers(2_000)

    async def count_scans(connection: AsyncConnection[Any]) -> Count[str]:
        cursor = await connection.execute(
            "SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE relname ~ %s", [grown]
        )
        return Count(dict(await cursor.fetchall()))

    async def decide_often() -> Count[str]:
        async with office.pool.connection() as connection, connection.transaction():
            # What this session did a moment ago counts too, such as a new month's indexes.
            earlier = await count_scans(connection)
            for wave in range(7):  # a statement's plan is kept from its sixth time on
                visits = [visit(campaign, f"{wave}-{n}") for n in range(20)]
                visits.append(Visit(Name(None, f"browser {wave}"), visits[0].placements, {}))
                now = timezone.now()
                batch = Batch(await office.snapshot.get(), visits, now)
                await batch.serve(connection)
                assert batch.is_decided
            return await count_scans(connection) - earlier

    with open_office(tmp_path) as office:
        office.serve(visit(campaign, "first"))
        assert office.runner.run(decide_often()) == Count()


def test_a_browser_and_a_customer_are_decided_for_in_one_transaction(tmp_path: Path) -> None:
    campaign = start(offers=[make_offer()])
    browser = Visit(Name(None, "b-1"), {campaign.placement.key: 1}, {})
    with open_office(tmp_path) as office:

        async def decide() -> None:
            batch = Batch(
                await office.snapshot.get(), [visit(campaign, "ada"), browser], timezone.now()
            )
            async with office.pool.connection() as connection:
                await batch.serve(connection)

        office.runner.run(decide())
    assert Identity.objects.values_list("value", flat=True).get() == "b-1"
    assert Decision.objects.values("customer").distinct().count() == 2


def test_a_limit_holds_exactly_however_many_come_at_once(tmp_path: Path) -> None:
    scarce, plenty = make_offer(cap_total=25), make_offer()
    campaign = start(offers=[scarce, plenty])
    with open_office(tmp_path) as one, open_office(tmp_path) as two:
        outcomes: list[Outcome] = []
        for wave in range(4):
            ours = [visit(campaign, f"a{wave}-{n}") for n in range(40)]
            theirs = [visit(campaign, f"b{wave}-{n}") for n in range(40)]
            outcomes += [*one.serve(*ours), *two.serve(*theirs)]
    assert shown(outcomes)[scarce.key] == 25
    assert used(f"offer:{scarce.key}") == 25
    assert Decision.objects.filter(offer=scarce.key).count() == 25
    assert Decision.objects.count() == 320
    assert all(outcome.is_logged and not outcome.is_degraded for outcome in outcomes)


def test_a_budget_is_never_overspent(tmp_path: Path) -> None:
    dear, cheap = make_offer(cost_cents=70), make_offer(cost_cents=30)
    campaign = start(offers=[dear, cheap], budget_cents=1000, fallback=make_offer(key="plain"))
    with open_office(tmp_path) as office:
        outcomes = office.serve(*(visit(campaign, f"c{n}") for n in range(120)))
    count = shown(outcomes)
    spent = 70 * count[dear.key] + 30 * count[cheap.key]
    assert 970 < spent <= 1000
    assert used(f"budget:{campaign.key}") == spent
    assert count["plain"] > 50
    # What each cost stands in the log, whatever becomes of the offer.
    Offer.objects.update(cost_cents=1)
    costs = dict(Decision.objects.order_by("offer").values_list("offer", "cost_cents").distinct())
    assert costs == {dear.key: 70, cheap.key: 30, "plain": 0, None: 0}


def test_a_budget_that_is_spent_evenly_lasts_until_the_end(tmp_path: Path) -> None:
    begin = datetime(2026, 3, 2, tzinfo=UTC)
    with time_machine.travel(begin, tick=False):
        offer = make_offer(cost_cents=30)
        campaign = start(
            offers=[offer],
            budget_cents=1000,
            budget_pacing=Pacing.EVEN,
            ends_at=begin + 10 * DAY,
        )
    with open_office(tmp_path) as office:
        for day in range(10):
            with time_machine.travel(begin + day * DAY, tick=False):
                office.serve(*(visit(campaign, f"d{day}-{n}") for n in range(20)))
            # As much as its share of the time, and the offer that passes it.
            assert 100 * day < used(f"budget:{campaign.key}") <= 100 * day + 30
    refused = Decision.objects.filter(offer=None).exclude(arm="hold-out").latest("id")
    assert "lasts until its end" in " ".join(refused.reasons)


def test_a_campaign_without_a_policy_gives_offers_by_their_shares(tmp_path: Path) -> None:
    offers = [make_offer(), make_offer()]
    campaign = start(offers=offers, split=Split(20, 80))
    with open_office(tmp_path) as office:
        office.serve(*(visit(campaign, f"c{n}") for n in range(200)))
    arms = Count(Decision.objects.values_list("arm", flat=True))
    assert set(arms) == {"hold-out", "fixed-shares"}
    assert abs(arms["hold-out"] - 40) < 4 * (200 * 0.2 * 0.8) ** 0.5
    given = Decision.objects.exclude(offer=None)
    assert set(given.values_list("propensity", "policy_version")) == {(0.5, None)}
    (compared,) = compute_result(campaign, now=timezone.now()).report["arms"]
    assert (compared["key"], compared["customers"]) == ("fixed-shares", arms["fixed-shares"])


def test_one_customer_is_given_no_more_than_one_may_be_wherever_the_requests_arrive(
    tmp_path: Path,
) -> None:
    offer = make_offer(cap_per_customer=3)
    campaign = start(offers=[offer])
    visits = [visit(campaign, f"c{n}") for _ in range(5) for n in range(8)]
    with open_office(tmp_path) as office:
        # Two desks with connections of their own, as two processes have them.
        second = Desk(office.pool, office.snapshot, office.spool)
        outcomes = office.serve(*visits, desks=[office.desk, second])
    assert len(outcomes) == 80
    counts = Count(
        Decision.objects.filter(offer=offer.key).values_list("customer__external_key", flat=True)
    )
    assert set(counts.values()) == {3}
    held_out = Decision.objects.filter(arm="hold-out").values("customer").distinct().count()
    assert len(counts) == 8 - held_out


@pytest.mark.parametrize("name", [Name("ada"), Name(anonymous_id="browser-1")])
def test_whoever_is_new_at_two_places_at_once_gets_one_decision(tmp_path: Path, name: Name) -> None:
    campaign = make_campaign(
        offers=[make_offer() for _ in range(8)], started_at=timezone.now(), hold_minutes=60
    )
    stranger = Visit(name, {campaign.placement.key: 1}, {})
    with open_office(tmp_path) as office:
        desks = [Desk(office.pool, office.snapshot, office.spool) for _ in range(3)]
        outcomes = office.serve(stranger, desks=desks)
    assert all(outcome.is_logged and not outcome.is_degraded for outcome in outcomes)
    assert Customer.objects.count() == Decision.objects.count() == Exposure.objects.count() == 1
    assert Identity.objects.count() == (name.anonymous_id is not None)


def test_a_visitors_key_that_somebody_has_as_a_name_is_no_stranger(tmp_path: Path) -> None:
    campaign = start(offers=[make_offer()])
    taken = Customer.objects.create(external_key="anonymous:browser-2")
    stranger = Visit(Name(anonymous_id="browser-2"), {campaign.placement.key: 1}, {})
    with open_office(tmp_path) as office:
        (outcome,) = office.serve(stranger)
    assert outcome.is_logged
    assert Decision.objects.get().customer == taken


def test_whoever_nobody_decides_for_is_not_made_a_customer(tmp_path: Path) -> None:
    audience = save_rule(
        Audience.objects.create(key="germans", name="Germans"),
        {"all": [{"attribute": "country", "is": "one of", "value": ["de"]}]},
    )
    campaign = start(offers=[make_offer()], audience=audience)
    with open_office(tmp_path) as office:
        (outcome,) = office.serve(visit(campaign, "ada"))
    assert outcome.slates == {campaign.placement.key: None}
    assert not Customer.objects.exists()


def cap(campaign: Campaign | None = None, offer: Offer | None = None, **values: Any) -> Cap:
    """Limit a campaign or an offer."""
    return Cap.objects.create(campaign=campaign, offer=offer, **{"window": "ever", **values})


def offered() -> int:
    """Count the decisions that gave an offer out."""
    return Decision.objects.exclude(offer=None).count()


@pytest.mark.parametrize("values", [{}, {"window": "day"}, {"window": "rolling", "hours": 3}])
def test_a_campaigns_limit_in_total_holds_exactly_however_many_come(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    campaign = start(offers=[make_offer(), make_offer()])
    limit = cap(campaign, limit=25, is_per_customer=False, **values)
    with open_office(tmp_path) as one, open_office(tmp_path) as two:
        for wave in range(3):
            one.serve(*(visit(campaign, f"a{wave}-{n}") for n in range(40)))
            two.serve(*(visit(campaign, f"b{wave}-{n}") for n in range(40)))
    assert offered() == 25
    counted = Counter.objects.filter(name__startswith=f"cap:{limit.pk}")
    assert sum(counted.values_list("used", flat=True)) == 25
    refused = Decision.objects.filter(offer=None).exclude(arm="hold-out").latest("id")
    assert f"campaign {campaign.key} was given out 25 times" in " ".join(refused.reasons)


def test_a_limit_per_customer_counts_over_offers_and_batches(tmp_path: Path) -> None:
    campaign = start(offers=[make_offer(), make_offer()])
    cap(campaign, limit=3, window="rolling", hours=24)
    visits = [visit(campaign, f"c{n}") for _ in range(5) for n in range(8)]
    with open_office(tmp_path) as office:
        second = Desk(office.pool, office.snapshot, office.spool)
        office.serve(*visits, desks=[office.desk, second])
        office.serve(*visits)
    given = Decision.objects.exclude(offer=None)
    counts = Count(given.values_list("customer__external_key", flat=True))
    assert set(counts.values()) == {3}


def test_a_day_is_one_of_the_customers_clock(tmp_path: Path) -> None:
    campaign = start(offers=[make_offer()])
    cap(campaign, limit=1, window="day")
    customers = make_customers(20, attributes={"timezone": "Pacific/Kiritimati"})
    names = [customer.external_key for customer in customers]
    # Midnight is at 10 in the morning, UTC.
    with open_office(tmp_path) as office:
        for hour, most in ((9, 1), (9, 1), (10, 2), (23, 2)):
            with time_machine.travel(datetime(2026, 3, 4, hour, 30, tzinfo=UTC), tick=False):
                office.serve(*(visit(campaign, name) for name in names))
            given = Decision.objects.exclude(offer=None)
            assert set(Count(given.values_list("customer", flat=True)).values()) == {most}


@pytest.mark.parametrize("names_decision", [True, False])
def test_what_was_seen_counts_when_it_was_seen(tmp_path: Path, names_decision: bool) -> None:
    offer = make_offer()
    campaign = start(offers=[offer])
    cap(offer=offer, limit=2, counts="impression")
    with open_office(tmp_path) as office:
        for _ in range(3):
            office.serve(*(visit(campaign, f"c{n}") for n in range(5)))
        decisions = list(Decision.objects.exclude(offer=None).select_related("customer"))
        assert len(decisions) == 3 * len({d.customer_id for d in decisions})
        first = {decision.customer_id: decision for decision in decisions}
        seen = [
            event_row(
                d.customer,
                "Promotion Viewed",
                at=timezone.now(),
                properties=(
                    {"decision_id": str(d.id)} if names_decision else {"promotion_id": offer.key}
                ),
            )
            for d in first.values()
            for _ in range(2)
        ]
        make_events(seen)
        office.serve(*(visit(campaign, f"c{n}") for n in range(5)))
    assert offered() == len(decisions)


def test_a_campaign_is_for_its_audience_alone(tmp_path: Path) -> None:
    placement = make_placement()
    audience = save_rule(
        Audience.objects.create(key="buyers", name="Buyers"),
        {"all": [{"event": "Order Completed", "at_least": 1, "days": 30}]},
    )
    plan: dict[str, Any] = {"offers": [make_offer()], "placement": placement}
    special = start(audience=audience, priority=1, **plan)
    usual = start(priority=2, **plan)
    buyers, others = make_customers(10), make_customers(10)
    with open_office(tmp_path) as office:
        keys = [customer.external_key for customer in [*buyers, *others]]
        make_events([event_row(b, "Order Completed", at=timezone.now() - HOUR) for b in buyers])
        office.serve(*(visit(usual, key) for key in keys))
    decided = dict(Decision.objects.values_list("customer", "campaign"))
    assert {decided[customer.pk] for customer in buyers} == {special.key}
    assert {decided[customer.pk] for customer in others} == {usual.key}


def test_an_offer_is_for_its_audience_alone(tmp_path: Path) -> None:
    audience = save_rule(
        Audience.objects.create(key="germans", name="Germans"),
        {"all": [{"attribute": "country", "is": "one of", "value": ["de"]}]},
    )
    special = make_offer(audience=audience)
    campaign = start(offers=[special])
    make_customers(10, attributes={"country": "fr"})
    germans = make_customers(10, attributes={"country": "de"})
    everybody = Customer.objects.values_list("external_key", flat=True)
    with open_office(tmp_path) as office:
        office.serve(*(visit(campaign, key) for key in everybody))
    given = set(Decision.objects.exclude(offer=None).values_list("customer", flat=True))
    assert given
    assert given <= {customer.pk for customer in germans}
    refused = Decision.objects.filter(offer=None).exclude(arm="hold-out").latest("id")
    assert f"{special.key}: the customer is not in the audience" in refused.reasons


def test_an_offer_speaks_the_customers_language_and_suits_the_placement(tmp_path: Path) -> None:
    offer = make_offer(text="Today.")
    campaign = start(offers=[offer])
    Campaign.objects.update(hold_minutes=30)
    said = {"offer": offer, "placement": campaign.placement}
    OfferContent.objects.create(**said, headline="Hello")
    OfferContent.objects.create(**said, language="de", headline="Hallo", image="https://x/y.png")
    OfferContent.objects.create(offer=offer, placement=make_placement(), headline="Elsewhere")
    make_customers(20, attributes={"language": "de-AT"})
    names = Customer.objects.values_list("external_key", flat=True)
    with open_office(tmp_path) as office:
        german = [*office.serve(*(visit(campaign, name) for name in names))]
        german += office.serve(*(visit(campaign, name) for name in names))
        other = office.serve(*(visit(campaign, f"c{n}", language="fr") for n in range(20)))
    assert words(german) == {("Hallo", "Today.", "https://x/y.png")}
    assert words(other) == {("Hello", "Today.", None)}


def words(outcomes: Sequence[Outcome]) -> set[tuple[Any, ...]]:
    """Return what was shown to anybody: headline, text and picture."""
    return {
        (slot.content["headline"], slot.content["text"], slot.content.get("image"))
        for outcome in outcomes
        for slate in outcome.slates.values()
        for slot in (slate.slots if slate is not None else ())
        if slot.content is not None
    }


def test_without_the_database_nobody_is_in_an_audience(tmp_path: Path) -> None:
    audience = save_rule(Audience.objects.create(key="all", name="All"), {})
    campaign = start(offers=[make_offer()], audience=audience)
    with open_office(tmp_path, NOWHERE) as office:
        (outcome,) = office.serve(visit(campaign, "ada"))
    assert outcome.is_degraded
    assert list(outcome.slates.values()) == [None]


def test_a_slate_is_logged_place_by_place_and_learned_from_at_the_top(tmp_path: Path) -> None:
    campaign = start(offers=[make_offer() for _ in range(4)])
    with open_office(tmp_path) as office:
        office.serve(*(visit(campaign, f"c{n}", 3) for n in range(10)))
    slates = Count(Decision.objects.exclude(arm="hold-out").values_list("position", flat=True))
    assert slates[0] == slates[1] == slates[2] > 0
    assert set(Reward.objects.values_list("decision__position", flat=True)) == {0}
    for decision in Decision.objects.exclude(arm="hold-out").filter(position=0):
        places = Decision.objects.filter(
            customer=decision.customer, decided_at=decision.decided_at
        ).order_by("-id")
        assert [place.position for place in places] == [0, 1, 2]
        assert len({place.offer for place in places}) == 3


def test_a_slate_is_kept_whole(tmp_path: Path) -> None:
    campaign = start(offers=[make_offer() for _ in range(4)])
    Campaign.objects.update(hold_minutes=30)
    with open_office(tmp_path) as office:

        def ids(count: int) -> list[Any]:
            (outcome,) = office.serve(visit(campaign, "ada", count))
            (slate,) = outcome.slates.values()
            assert slate is not None
            return [
                slot.decision.id if isinstance(slot, Slot) else slot.held.id for slot in slate.slots
            ]

        first = ids(3)
        assert ids(3) == first
        assert ids(2) == first[:2]
        longer = ids(4)
        assert ids(4) == longer
        assert len(longer) in {1, 4}


def test_one_customers_requests_in_one_batch_share_what_is_decided(tmp_path: Path) -> None:
    campaign = start(offers=[make_offer() for _ in range(4)])
    Campaign.objects.update(hold_minutes=30)
    with open_office(tmp_path) as office:
        office.serve(visit(campaign, "warm-up"))
        office.serve(*(visit(campaign, "ada") for _ in range(10)))
    assert Decision.objects.filter(customer__external_key="ada").count() <= 2
    assert Exposure.objects.filter(customer__external_key="ada").count() == 1


def test_without_the_database_everybody_is_decided_for_and_logged_once_it_is_back(
    tmp_path: Path,
) -> None:
    campaign = start(offers=[make_offer(), make_offer()])
    with open_office(tmp_path, NOWHERE) as office:
        outcomes = office.serve(*(visit(campaign, f"c{n}") for n in range(30)))
        browser = Visit(Name(None, "browser"), {campaign.placement.key: 1}, {})
        outcomes = [*outcomes, *office.serve(browser)]
        assert all(outcome.is_logged and outcome.is_degraded for outcome in outcomes)
        assert Decision.objects.count() == 0
        assert office.drain() == 31
        assert office.drain() == 0
    told = {slot.decision.id for o in outcomes for s in o.slates.values() for slot in slots_of(s)}
    assert set(Decision.objects.values_list("id", flat=True)) == told
    assert Exposure.objects.count() == Reward.objects.count() == 31
    visitor = Customer.objects.get(external_key="anonymous:browser")
    assert Identity.objects.get(value="browser").customer == visitor
    assert not list(tmp_path.glob("*"))


def slots_of(slate: Any) -> Sequence[Slot]:
    assert slate is not None
    return [slot for slot in slate.slots if isinstance(slot, Slot)]


def test_whose_browser_belongs_to_a_customer_by_now_turned_out_to_be_that_customer(
    tmp_path: Path,
) -> None:
    campaign = start(offers=[make_offer()])
    customer = Customer.objects.create(external_key="ada")
    Identity.objects.create(kind="anonymous_id", value="browser", customer=customer)
    with open_office(tmp_path, NOWHERE) as office:
        office.serve(Visit(Name(None, "browser"), {campaign.placement.key: 1}, {}))
        office.drain()
    visitor = Customer.objects.get(external_key="anonymous:browser")
    assert visitor.merged_into == customer
    assert Decision.objects.get().customer == visitor


def test_who_was_here_lately_keeps_arm_and_offer_without_the_database(tmp_path: Path) -> None:
    campaign = start(offers=[make_offer() for _ in range(5)])
    Campaign.objects.update(hold_minutes=30)
    visits = [visit(campaign, f"c{n}") for n in range(20)]
    with open_office(tmp_path) as office:
        before = shown(office.serve(*visits))
        campaign.experiment.arms.update(weight=0)
        office.runner.run(office.desk._pool.close())
        after = office.serve(*visits)
    assert shown(after) == before
    assert Decision.objects.count() == 20
    assert all(outcome.is_degraded for outcome in after)


def test_limited_offers_are_hidden_or_overrun_as_they_say_while_nobody_counts(
    tmp_path: Path,
) -> None:
    hidden = make_offer(cap_total=5)
    overrun = make_offer(cap_total=5, uncounted="show")
    campaign = start(offers=[hidden, overrun])
    with open_office(tmp_path, NOWHERE) as office:
        count = shown(office.serve(*(visit(campaign, f"c{n}") for n in range(40))))
        office.drain()
    assert count[hidden.key] == 0
    assert count[overrun.key] > 5
    # What was overrun is counted, so that it is not given out again.
    assert used(f"offer:{overrun.key}") == count[overrun.key]


def test_a_connection_that_breaks_while_it_logs_loses_and_doubles_nothing(tmp_path: Path) -> None:
    scarce = make_offer(cap_total=100)
    campaign = start(offers=[scarce])
    with open_office(tmp_path) as office:
        office.serve(visit(campaign, "first"))
        with locked_table("recommender_decision"):
            serving = office.runner.run(begin(office.desk.serve(visit(campaign, "second"))))
            office.runner.run(asyncio.sleep(0.3))
            wait_for_blocked()
            end_sessions(only_blocked=True)
            outcome = office.runner.run(finish(serving))
        assert outcome.is_logged
        assert not outcome.is_degraded
        assert Decision.objects.count() == 1
        office.drain()
    (slot,) = [s for slate in outcome.slates.values() for s in slots_of(slate)]
    second = Decision.objects.get(customer__external_key="second")
    assert (second.id, second.offer) == (slot.decision.id, slot.decision.offer)
    given = Decision.objects.exclude(offer=None).count()
    assert (used(f"offer:{scarce.key}") if given else 0) == given


async def begin(story: Any) -> "asyncio.Future[Outcome]":
    return asyncio.create_task(story)


async def finish(serving: "asyncio.Future[T]") -> T:
    return await serving


def test_what_is_drained_a_second_time_is_logged_and_counted_once(tmp_path: Path) -> None:
    offer = make_offer(cap_total=50, uncounted="show")
    campaign = start(offers=[offer])
    with open_office(tmp_path, NOWHERE) as office:
        office.serve(*(visit(campaign, f"c{n}") for n in range(20)))
        (file,) = tmp_path.glob(f"*{SUFFIX}")
        copy = file.read_bytes()
        assert office.drain() == 20
        before = used(f"offer:{offer.key}"), Reward.objects.count(), Exposure.objects.count()
        (tmp_path / f"again{SUFFIX}").write_bytes(copy)
        assert office.drain() == 0
    assert (used(f"offer:{offer.key}"), Reward.objects.count(), Exposure.objects.count()) == before
    assert Decision.objects.count() == 20


def test_a_line_cut_off_by_a_crash_and_a_damaged_one_keep_nothing_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    campaign = start(offers=[make_offer()])
    with open_office(tmp_path, NOWHERE) as office:
        office.serve(visit(campaign, "ada"))
        (file,) = tmp_path.glob(f"*{SUFFIX}")
        whole = file.read_bytes()
        (tmp_path / f"crashed{SUFFIX}").write_bytes(b'{"damaged"}\n' + whole + whole[:50])
        file.unlink()
        assert office.drain() == 1
    assert [path.suffix for path in tmp_path.iterdir()] == [".rejected"]
    assert "cannot be logged" in caplog.text


def test_where_not_even_the_disk_takes_it_the_answer_says_so(tmp_path: Path) -> None:
    campaign = start(offers=[make_offer()])
    not_a_directory = tmp_path / "file"
    not_a_directory.write_text("")
    with open_office(not_a_directory, NOWHERE) as office:
        (outcome,) = office.serve(visit(campaign, "ada"))
    assert not outcome.is_logged
    assert outcome.is_degraded


def test_a_file_that_another_process_writes_is_left_to_it(tmp_path: Path) -> None:
    campaign = start(offers=[make_offer()])
    with open_office(tmp_path, NOWHERE) as writer, open_office(tmp_path) as other:
        writer.serve(visit(campaign, "ada"))
        assert other.drain() == 0
        writer.spool.close()
        assert other.drain() == 1


def test_what_was_spooled_in_a_month_without_a_table_is_logged(tmp_path: Path) -> None:
    campaign = start(offers=[make_offer()])
    with time_machine.travel("2031-05-31T23:59:59Z"), open_office(tmp_path, NOWHERE) as office:
        office.serve(visit(campaign, "ada"))
        assert office.drain() == 1
    assert Decision.objects.get().decided_at.year == 2031


def test_after_a_deadlock_everybody_is_decided_for_once_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    campaign = start(offers=[make_offer(cap_per_customer=5)])
    touch = "UPDATE audience_customer SET updated_at = now() WHERE external_key = %s"
    with open_office(tmp_path) as office:
        office.serve(visit(campaign, "ann"), visit(campaign, "bob"))
        with psycopg.connect(database_url()) as other:
            other.execute("SET deadlock_timeout = '20s'")
            other.execute(touch, ["bob"])
            visits = [visit(campaign, "ann"), visit(campaign, "bob")]
            serving = office.runner.run(begin_all(office.desk, visits))
            office.runner.run(asyncio.sleep(0.3))
            wait_for_blocked()
            # The desk holds Ann and waits for Bob; whoever holds Bob wants Ann now.
            with ThreadPoolExecutor(1) as threads:
                wanting = threads.submit(other.execute, touch, ["ann"])
                office.runner.run(asyncio.sleep(1.5))
                wanting.result()
                other.commit()
            outcomes = office.runner.run(finish(serving))
    assert all(outcome.is_logged and not outcome.is_degraded for outcome in outcomes)
    assert Decision.objects.count() == 4
    assert "cannot be logged" not in caplog.text
    assert not list(tmp_path.glob("*"))


async def begin_all(desk: Desk, visits: Sequence[Visit]) -> "asyncio.Future[list[Outcome]]":
    return asyncio.gather(*(desk.serve(each) for each in visits))
