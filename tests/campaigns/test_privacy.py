import csv
import io
import json
import uuid
import zipfile
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import redis
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.utils import timezone
from pytest_django import Settings

from audience.consent.record import record_consent
from audience.consent.suppression import find_suppressed
from audience.keeping.lake import extend_lake
from audience.models import (
    Audience,
    AudienceKind,
    Channel,
    ConsentState,
    Customer,
    Erasure,
    Event,
    Identity,
    Membership,
    ReceivedMessage,
    RejectedEvent,
    Scope,
    Source,
)
from audience.privacy.erasing import UNFINISHED_AFTER, request_erasure
from audience.privacy.exporting import escape_cell
from audience.privacy.tables import Tables, check_tables
from campaigns.deciding.logbook import Unlogged
from campaigns.models import Assigned, Assignment, Campaign, Delivery, Step
from campaigns.privacy import TABLES
from campaigns.tasks import erase_due
from experiments.models import Exposure, Prediction, Subscriber
from recommender.bandits.base import Statistics
from recommender.learning.learn import learn_batch
from recommender.models import Decision, Ranking, Reversal, Reward, TopPicks
from recommender.ranking.lifecycle import request_version
from tests.asgi import basic, open_site
from tests.makers import (
    DAY,
    NOW,
    expose,
    logged,
    make_campaign,
    make_customer,
    make_decision,
    make_event,
    make_source,
    make_user,
    merge,
)
from tests.racing import other_sessions

pytestmark = pytest.mark.django_db

ADDRESS = "ann.smith@example.com"
BROWSER = "7f3c9a52-aaaa-4bbb-8ccc-123456789abc"


@pytest.fixture
def disks(tmp_path: Path, settings: Settings) -> Path:
    """Give the lake and the spool folders of their own."""
    settings.LAKE_DIR = tmp_path / "lake"
    settings.SPOOL_DIR = tmp_path / "spool"
    settings.SPOOL_DIR.mkdir()
    return tmp_path


def make_ann(*, opted_out: bool = True) -> Customer:
    """Make a person who is in every table that can hold one."""
    ann = make_customer(attributes={"email": ADDRESS, "city": "Berlin"})
    visitor = Customer.objects.create(external_key=f"anonymous:{BROWSER}")
    merge(visitor, into=ann)
    Identity.objects.create(customer=ann, kind="email", value=ADDRESS)
    Identity.objects.create(customer=ann, kind="anonymous_id", value=BROWSER)
    audience = Audience.objects.create(key="list", name="List", kind=AudienceKind.LIST)
    Membership.objects.create(audience=audience, customer=ann)
    for state in (ConsentState.OPTED_IN, ConsentState.OPTED_OUT)[: 2 if opted_out else 1]:
        record_consent(
            ann,
            channel=Channel.EMAIL,
            purpose="marketing",
            state=state,
            source="form",
            evidence={"page": f"https://shop.example/?e={ADDRESS.replace('@', '%40')}"},
            now=NOW,
        )
    for who in (ann, visitor):
        make_event(who, "Page Viewed", at=NOW, properties={"email": ADDRESS})
    source = Source.objects.get(name="tests")
    ReceivedMessage.objects.create(source=source, message_id=f"signup-{ADDRESS}"[:100])
    RejectedEvent.objects.create(
        source=source, reason="no name", payload=json.dumps({"userId": ann.external_key})
    )
    campaign = make_campaign()
    arm = campaign.experiment.arms.first()
    assert arm is not None
    expose(campaign.experiment, ann, arm.key, at=NOW)
    Prediction.objects.create(name="churn", customer=ann, value=0.5, predicted_at=NOW)
    make_decision(campaign.policy, ann, None, at=NOW, campaign=campaign.key)
    Reversal.objects.create(policy=campaign.policy, customer=ann)
    ranking = Ranking.objects.create(key="top-picks", name="Top picks")
    version = request_version(ranking, kind="markov", hyperparameters={}, by=None, now=NOW)
    TopPicks.objects.create(version=version, customer=ann, items=["mug"], scores=[1.0])
    step = Step.objects.create(campaign=campaign, name="First")
    Delivery.objects.create(
        campaign=campaign, step=step, customer=ann, send_after=NOW, provider_id=f"<1.{ADDRESS}>"
    )
    assignment = Assignment.objects.create(campaign=campaign, asked_at=NOW)
    Assigned.objects.create(assignment=assignment, customer=ann)
    LogEntry.objects.create(
        user=make_user(),
        content_type=ContentType.objects.get_for_model(Customer),
        object_id=str(ann.pk),
        object_repr=str(ann),
        action_flag=CHANGE,
        change_message=f"Changed e-mail to {ADDRESS}",
    )
    Subscriber.objects.create(email=ADDRESS)
    return ann


def erase(customer: Customer) -> Erasure:
    call_command("erase_customer", customer.external_key, "--yes", "--by", "tests", verbosity=0)
    return Erasure.objects.latest("requested_at")


def search_everything(*names: str) -> list[str]:
    """Look for names in every row of every table, written as PostgreSQL writes a whole row."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        )
        tables = [name for (name,) in cursor.fetchall()]
        found = []
        for table in tables:
            for name in names:
                cursor.execute(
                    f'SELECT count(*) FROM "{table}" AS row'
                    " WHERE position(lower(%s) IN lower(row::text)) > 0",
                    [name],
                )
                if cursor.fetchone() != (0,):
                    found.append(f"{table}: {name}")
    return found


def test_who_is_erased_is_found_nowhere(disks: Path, settings: Settings) -> None:
    ann, bob = make_ann(), make_customer()
    make_event(bob, "Friend Invited", at=NOW, properties={"friend": ADDRESS, "color": "red"})
    extend_lake(settings.LAKE_DIR, lag=timedelta(0), step=timedelta(microseconds=1))
    old_files = set(settings.LAKE_DIR.rglob("*.parquet"))
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.set(f"cap:{ann.external_key}:home", 1)
    policy = Decision.objects.get(customer=ann).policy
    assert policy is not None
    both = Unlogged([logged(policy, one, "red", at=NOW) for one in (ann, bob)], [], {})
    spool = settings.SPOOL_DIR / "1-abcd.jsonl"
    spool.write_bytes(msgspec.json.encode(both) + b"\n")
    key, pk = ann.external_key, ann.pk
    names = (key, ADDRESS, ADDRESS.replace("@", "%40"), BROWSER)
    assert len(search_everything(*names)) > 12

    erasure = erase(ann)

    assert search_everything(*names) == []
    assert (erasure.left, erasure.customer_id) == ({}, None)
    assert erasure.removed["audience_event"] == 2
    assert erasure.removed["audience_event (names)"] >= 1
    for model in (Exposure, Prediction, Delivery, Membership, Event, TopPicks):
        assert not model.objects.filter(customer_id=pk).exists()
    assert not Reward.objects.exists()
    assert Event.objects.get(customer=bob).properties == {"friend": "(erased)", "color": "red"}
    assert not client.exists(f"cap:{key}:home")
    left = msgspec.json.decode(spool.read_bytes(), type=Unlogged)
    assert [one.customer_key for one in left.decisions] == [bob.external_key]
    if old_files:
        assert not old_files & set(settings.LAKE_DIR.rglob("*.parquet"))


def test_what_a_person_taught_a_policy_goes_with_the_person(disks: Path) -> None:
    ann, bob = make_ann(), make_customer()
    policy = Campaign.objects.get().policy
    for customer in (ann, bob):
        make_decision(policy, customer, policy.offers[0], at=NOW)
    learn_batch(policy.pk, now=NOW + 90 * DAY)
    assert erase(ann).removed["policies' lessons"] == 1
    sums = [Statistics.from_bytes(bytes(row.sums)).n for row in policy.statistics.all()]
    assert sum(sums) == 1


@pytest.mark.parametrize("opted_out", [True, False])
def test_a_refusal_outlives_its_owner_as_a_hash(disks: Path, opted_out: bool) -> None:
    erase(make_ann(opted_out=opted_out))
    assert bool(find_suppressed([ADDRESS], channel=Channel.EMAIL)) == opted_out


def test_whoever_comes_again_under_the_same_key_is_a_stranger(disks: Path) -> None:
    ann = make_ann()
    erase(ann)
    again = Customer.objects.create(external_key=ann.external_key)
    assert again.pk != ann.pk
    assert again.attributes == {}


def test_a_worker_takes_wishes_up_and_a_second_time_does_nothing(disks: Path) -> None:
    ann = make_ann()
    for _ in range(2):
        request_erasure(ann, by="officer", now=timezone.now())
    assert (erase_due(), erase_due()) == (1, 0)
    assert Erasure.objects.get().requested_by == "officer"


def test_an_erasure_that_broke_off_after_the_rows_were_deleted_is_finished(
    disks: Path, settings: Settings
) -> None:
    ann = make_ann()
    extend_lake(settings.LAKE_DIR, lag=timedelta(0), step=timedelta(microseconds=1))
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.set(f"cap:{ann.external_key}:home", 1)
    request_erasure(ann, by="officer", now=timezone.now())
    there, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1/0"
    assert erase_due() == 0
    settings.REDIS_URL = there
    erasure = Erasure.objects.get()
    assert (erasure.customer_id, erasure.left) == (None, None)
    assert not Customer.objects.filter(pk=ann.pk).exists()
    # Somebody may be at it still.
    assert erase_due() == 0
    erased_at = timezone.now() - UNFINISHED_AFTER - timedelta(seconds=1)
    Erasure.objects.update(erased_at=erased_at)
    assert (erase_due(), erase_due()) == (1, 0)
    erasure.refresh_from_db()
    assert (erasure.left, erasure.unsearched, erasure.erased_at) == ({}, None, erased_at)
    assert erasure.removed["audience_event"] == 2
    assert erasure.removed["valkey"] >= 1
    assert not client.exists(f"cap:{ann.external_key}:home")
    assert search_everything(ann.external_key, ADDRESS, BROWSER) == []


def test_another_customer_of_the_same_address_is_reported_and_stays(disks: Path) -> None:
    ann = make_ann()
    make_customer(attributes={"email": ADDRESS})
    with pytest.raises(CommandError, match=r"still named in: audience_customer\.attributes"):
        erase(ann)
    assert Customer.objects.filter(attributes__email=ADDRESS).count() == 1


def test_every_relation_to_a_person_is_spoken_for() -> None:
    assert check_tables(TABLES).fields == ()
    missing = Tables(TABLES.rows[1:], TABLES.naming, TABLES.untouched)
    assert check_tables(missing).fields == ("campaigns.Delivery.customer",)


def test_an_export_holds_every_table_and_no_formula(disks: Path) -> None:
    ann = make_ann()
    make_event(ann, "Searched", at=NOW, properties={"q": "=1+1"})
    make_event(ann, "=cmd()", at=NOW)
    path = disks / f"{uuid.uuid4()}.zip"
    call_command("export_customer", ann.external_key, str(path), verbosity=0)
    with zipfile.ZipFile(path) as archive:
        counts = json.loads(archive.read("tables.json"))
        events = json.loads(archive.read("audience_event.json"))
        cells = list(csv.DictReader(io.StringIO(archive.read("audience_event.csv").decode())))
    assert {rows.model._meta.db_table for rows in TABLES.rows} <= counts.keys()
    assert all(counts[rows.model._meta.db_table] for rows in TABLES.rows)
    assert (counts["audience_customer"], counts["audience_rejectedevent"]) == (2, 1)
    assert len(events) == len(cells) == 4
    assert "'=cmd()" in {row["name"] for row in cells}
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@x", "'@x"),
        ("plain", "plain"),
        (-5.5, "-5.5"),
        (None, ""),
        ([1], "[1]"),
    ],
)
def test_cells_are_escaped(value: object, cell: str) -> None:
    assert escape_cell(value) == cell


def test_commands_refuse_whom_nobody_knows(tmp_path: Path) -> None:
    for command in (["erase_customer", "nobody", "--yes"], ["export_customer", "nobody", "x.zip"]):
        with pytest.raises(CommandError, match="no customer"):
            call_command(*command)


def test_a_model_that_is_added_cannot_be_forgotten() -> None:
    class Diary(models.Model):
        owner = models.ForeignKey(Customer, on_delete=models.CASCADE)

        class Meta:
            app_label = "campaigns"
            managed = False

        def __str__(self) -> str:
            return ""

    try:
        assert check_tables(TABLES, among=[Diary]).fields == ("campaigns.Diary.owner",)
    finally:
        del apps.all_models["campaigns"]["diary"]
        apps.clear_cache()


@pytest.mark.django_db(transaction=True)
def test_whoever_goes_on_sending_is_erased_and_met_again(disks: Path, settings: Settings) -> None:
    with open_site() as site:
        _, key = make_source(Scope.EVENTS)
        person = "shopper-4711-long"

        def send(number: int) -> None:
            message = {
                "userId": person,
                "event": "Seen",
                "messageId": f"m{number}",
                "traits": {"email": ADDRESS},
            }
            answer = site.post("/v1/track", message, headers={"authorization": basic(key)})
            assert answer.status == 200

        for number in range(5):
            send(number)
        before = Customer.objects.get(external_key=person)
        with other_sessions(1) as call:
            request_erasure(before, by="tests", now=timezone.now())
            erasing = call(lambda: erase_due())
            number = 5
            while not erasing.done():
                send(number)
                number += 1
            assert erasing.result() == 1
        assert number > 5
        assert not Event.objects.filter(customer_id=before.pk).exists()
        send(number)
        assert Customer.objects.get(external_key=person).pk != before.pk
