"""Two people who have one record open in the admin do not overwrite each other unseen."""

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audience.models import Audience
from campaigns.lifecycle.status import start_campaign
from campaigns.models import Cap, Offer
from tests.filled_forms import MEANWHILE, open_form, read_form
from tests.makers import make_campaign, make_metric, make_offer

pytestmark = pytest.mark.django_db


@pytest.fixture
def offer() -> Offer:
    return make_offer(name="Socks")


def address(offer: Offer) -> str:
    return reverse("admin:campaigns_offer_change", args=[offer.pk])


def test_an_offer_that_somebody_else_saved_is_not_overwritten_unseen(
    admin: Client, offer: Offer
) -> None:
    first, second = (open_form(admin, address(offer), having="headline") for _ in range(2))
    theirs = first | {"cost_cents": ["250"]}
    assert [admin.post(address(offer), theirs).status_code for _ in range(2)] == [302, 302]
    words = admin.post(address(offer), second | {"text": ["Warm"]}).content.decode()
    assert MEANWHILE in words
    assert "Meanwhile it was saved as “250”." in words
    offer.refresh_from_db()
    assert (offer.cost_cents, offer.text) == (250, "")
    kept = read_form(words, having="headline")
    assert kept["text"] == ["Warm"]
    assert admin.post(address(offer), kept | {"cost_cents": ["250"]}).status_code == 302
    offer.refresh_from_db()
    assert (offer.cost_cents, offer.text) == (250, "Warm")


def test_a_row_under_an_offer_is_not_overwritten_unseen(admin: Client, offer: Offer) -> None:
    cap = Cap.objects.create(offer=offer, limit=3, window="day")
    sent = open_form(admin, address(offer), having="headline")
    Cap.objects.filter(pk=cap.pk).update(limit=1)
    assert MEANWHILE in admin.post(address(offer), sent).content.decode()
    cap.refresh_from_db()
    assert cap.limit == 1


def test_what_may_not_be_changed_any_more_is_not_lost_silently(admin: Client) -> None:
    campaign = make_campaign(started_at=None)
    audience = Audience.objects.create(key="vips", name="VIPs", rule={"all": []})
    page = reverse("admin:campaigns_campaign_change", args=[campaign.pk])
    sent = open_form(admin, page, having="hold_minutes") | {"audience": [str(audience.pk)]}
    start_campaign(campaign, by=None, now=timezone.now())
    assert MEANWHILE in admin.post(page, sent).content.decode()
    assert admin.post(page, open_form(admin, page, having="hold_minutes")).status_code == 302


def test_a_metric_is_not_overwritten_unseen(admin: Client) -> None:
    metric = make_metric()
    page = reverse("admin:experiments_metric_change", args=[metric.pk])
    first, second = (open_form(admin, page, having="kind") for _ in range(2))
    assert admin.post(page, first | {"name": ["Orders"]}).status_code == 302
    words = admin.post(page, second | {"name": ["Buys"]}).content.decode()
    assert "Meanwhile it was saved as “Orders”." in words
    # A new one overwrites nothing.
    new = open_form(admin, reverse("admin:experiments_metric_add"), having="kind")
    new |= {"name": ["New"], "key": ["new"], "params": ['{"event": "X"}']}
    assert admin.post(reverse("admin:experiments_metric_add"), new).status_code == 302


def test_a_right_that_somebody_else_took_from_a_role_does_not_come_back(admin: Client) -> None:
    role = Group.objects.create(name="Helpers")
    rights = list(Permission.objects.filter(codename__in=["view_offer", "erase_customer"]))
    role.permissions.set(rights)
    page = reverse("admin:auth_group_change", args=[role.pk])
    sent = open_form(admin, page, having="name")
    sent |= {"name": ["Helper"], "permissions": [str(right.pk) for right in rights]}
    role.permissions.remove(*(right for right in rights if right.codename == "erase_customer"))
    assert MEANWHILE in admin.post(page, sent).content.decode()
    assert [right.codename for right in role.permissions.all()] == ["view_offer"]
