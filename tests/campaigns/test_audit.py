import pytest
from django.db import connection
from django.test import Client

from audience.audit import changing_as
from audience.models import AuditEntry, Scope
from audience.sources.keys import create_source
from campaigns.models import Campaign, Offer
from tests.makers import make_campaign, make_offer, make_user

pytestmark = pytest.mark.django_db
RECORDED = (
    "campaigns_campaign", "campaigns_campaignoffer", "campaigns_cap", "campaigns_message",
    "campaigns_offer", "campaigns_offercontent", "campaigns_placement", "campaigns_step",
    "audience_audience", "audience_source", "recommender_policy",
)  # fmt: skip


def entries(row: Offer | Campaign) -> list[AuditEntry]:
    found = AuditEntry.objects.filter(table=row._meta.db_table, row_id=str(row.pk))
    return list(found.order_by("id"))


@pytest.mark.parametrize("table", RECORDED)
def test_changes_of_every_table_that_people_set_up_are_recorded(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_trigger WHERE tgname = 'record_change'"
            " AND tgrelid = %s::regclass",
            [table],
        )
        assert cursor.fetchone() == (1,)


def test_a_change_is_recorded_with_who_before_and_after() -> None:
    offer = make_offer(value_cents=100)
    with changing_as("ann"):
        # Not by `save()`: no way of changing a row is missed.
        Offer.objects.filter(pk=offer.pk).update(value_cents=250)
        Offer.objects.filter(pk=offer.pk).update(value_cents=250)
    made, changed = entries(offer)
    assert (made.before, made.by) == (None, "")
    assert made.after is not None
    assert made.after["value_cents"] == 100
    assert (changed.before, changed.after) == ({"value_cents": 100}, {"value_cents": 250})
    assert changed.by == "ann"
    pk = offer.pk
    offer.delete()
    last = AuditEntry.objects.filter(table="campaigns_offer", row_id=str(pk)).latest("id")
    assert (last.after, last.by) == (None, "")


def test_no_secret_is_recorded() -> None:
    source, _ = create_source("shop", scopes=[Scope.EVENTS])
    entry = AuditEntry.objects.get(table="audience_source", row_id=str(source.pk))
    assert entry.after is not None
    assert not {"key_hash", "old_key_hash", "encryption_key"} & entry.after.keys()


def test_a_page_that_changes_something_names_who_is_logged_in() -> None:
    campaign = make_campaign()
    user = make_user("campaigns.change_campaign", "campaigns.view_campaign")
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(user)
    client.post(f"/campaigns/{campaign.key}/pause/", {"reason": "wrong price"})
    changed = entries(campaign)[-1]
    assert changed.by == user.get_username()
    assert changed.before == {"status": "running"}
    assert changed.after == {"status": "paused"}


def test_only_auditors_see_changes_and_nobody_changes_them() -> None:
    make_offer()
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user())
    assert client.get("/admin/audience/auditentry/").status_code == 403
    client.force_login(make_user("audience.view_auditentry"))
    assert "campaigns_offer" in client.get("/admin/audience/auditentry/").content.decode()
    entry = AuditEntry.objects.latest("id")
    assert client.post(f"/admin/audience/auditentry/{entry.pk}/delete/").status_code == 403
