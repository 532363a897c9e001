"""Somebody asks for an audience to be decided for, watches, and takes the file."""

from http import HTTPStatus

import pytest
from asgiref.sync import async_to_sync
from django.http import StreamingHttpResponse
from django.test import AsyncClient, Client
from django.urls import reverse

from campaigns.models import Assigned, Assignment, Campaign
from campaigns.tasks import assign_audiences
from experiments.models import Change
from tests.makers import make_campaign, make_customer, make_user

pytestmark = pytest.mark.django_db(transaction=True)

VIEW, CHANGE, SEE = "campaigns.view_campaign", "campaigns.change_campaign", "audience.view_customer"


def browse(*permissions: str) -> Client:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(*permissions))
    return client


def page_of(campaign: Campaign) -> str:
    return reverse("campaign-assignments", args=[campaign.key])


def text(client: Client, address: str) -> str:
    return b"".join(client.get(address)).decode()


@async_to_sync
async def take(client: Client, address: str) -> str:
    """Take a file as the site hands it out, which answers asynchronously."""
    taking = AsyncClient()
    taking.cookies = client.cookies
    answer = await taking.get(address, headers={"x-forwarded-proto": "https"})
    assert isinstance(answer, StreamingHttpResponse)
    return b"".join([piece async for piece in answer]).decode()


def test_an_audience_is_decided_for_and_handed_out() -> None:
    for name in ("=cmd()", "ann", "ben"):
        customer = make_customer()
        type(customer).objects.filter(pk=customer.pk).update(external_key=name)
    campaign = make_campaign()
    marketer = browse(VIEW, CHANGE, SEE)
    assert "was never decided for" in text(marketer, page_of(campaign))
    said = marketer.post(page_of(campaign), follow=True).content.decode()
    assert "3 customers are being decided for." in said
    assert "0 of 3 customers" in said
    assert "Decide for everybody now" not in said
    again = marketer.post(page_of(campaign), follow=True).content.decode()
    assert "being decided for already" in again
    assert assign_audiences() == 3
    said = text(marketer, page_of(campaign))
    assert "3 of 3 customers · finished" in said
    assigned = Assigned.objects.first()
    assert assigned is not None
    address = reverse("campaign-assigned", args=[campaign.key, assigned.assignment_id])
    everybody = take(marketer, f"{address}?who=everybody")
    assert everybody.count("\r\n") == 4
    assert "\r\n'=cmd()," in everybody
    with_offer = Assigned.objects.exclude(offer="").count()
    assert take(marketer, address).count("\r\n") == with_offer + 1
    assert Change.objects.filter(action__startswith="downloaded who").count() == 2
    part = marketer.get(page_of(campaign), headers={"hx-request": "true"}).content.decode()
    assert part.lstrip().startswith("<section")


def test_who_may_not_is_refused() -> None:
    campaign = make_campaign()
    make_customer()
    viewer = browse(VIEW)
    assert viewer.post(page_of(campaign)).status_code == HTTPStatus.FORBIDDEN
    assert "Decide for everybody" not in text(viewer, page_of(campaign))
    browse(VIEW, CHANGE).post(page_of(campaign))
    unfinished = Assignment.objects.get(campaign=campaign)
    address = reverse("campaign-assigned", args=[campaign.key, unfinished.pk])
    assert browse(VIEW, CHANGE, SEE).get(address).status_code == HTTPStatus.NOT_FOUND
    assign_audiences()
    assert browse(VIEW, CHANGE).get(address).status_code == HTTPStatus.FORBIDDEN


def test_who_looks_too_early_is_told_when_it_can_be_decided() -> None:
    draft, running = make_campaign(started_at=None), make_campaign()
    client, words = browse(VIEW, CHANGE), "It can be decided while the campaign runs."
    assert words in text(client, page_of(draft))
    assert words not in text(client, page_of(running))
