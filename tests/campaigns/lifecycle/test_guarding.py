"""What a running campaign was approved for stays, however deep its audiences name one another."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from audience.audiences.guarding import reason_against_change
from audience.audiences.saving import save_rule, say_version
from audience.models import Audience, AudienceKind
from campaigns.lifecycle.design import describe_campaign
from campaigns.models import Campaign, Offer, Step
from tests.makers import NOW, make_campaign, make_customers, make_offer, make_user

pytestmark = pytest.mark.django_db

DE = {"attribute": "country", "is": "equal", "value": "DE"}
FR = {"attribute": "country", "is": "equal", "value": "FR"}


def make_audience(key: str, rule: Any) -> Audience:
    return save_rule(Audience(key=key, name=key.capitalize()), rule)


@pytest.fixture
def germans() -> Audience:
    return make_audience("germans", DE)


@pytest.fixture
def nested(germans: Audience) -> Audience:
    """An audience that means the others two audiences deep."""
    middle = make_audience("middle", {"not": {"audience": germans.key}})
    return make_audience("outer", {"any": [{"audience": middle.key}, FR]})


def running(**plan: Any) -> Campaign:
    return make_campaign(started_at=NOW, **plan)


@pytest.mark.parametrize("by", ["audience", "offer", "step"])
def test_one_person_alone_does_not_change_whom_a_running_campaign_is_for(
    germans: Audience, nested: Audience, by: str
) -> None:
    marketer = make_user("audience.change_audience")
    assert reason_against_change(germans, by=marketer) is None
    campaign = running(audience=nested if by == "audience" else None)
    if by == "offer":
        Offer.objects.filter(campaigns=campaign).update(audience=nested)
    if by == "step":
        Step.objects.create(campaign=campaign, name="First", only_if={"audience": nested.key})
    for audience in (germans, nested):
        said = reason_against_change(audience, by=marketer)
        assert said is not None
        assert f"{campaign} runs" in said
    approver = make_user("audience.change_audience", "campaigns.approve_campaign")
    assert reason_against_change(germans, by=approver) is None
    Campaign.objects.update(status="finished")
    assert reason_against_change(germans, by=marketer) is None


def test_where_nobody_reviews_nobody_is_asked(germans: Audience, settings: Any) -> None:
    running(audience=germans)
    settings.REVIEW_IS_REQUIRED = False
    assert reason_against_change(germans, by=make_user()) is None


def test_the_builder_says_why_and_still_takes_a_new_name(germans: Audience) -> None:
    running(audience=germans)
    browser = Client(headers={"x-forwarded-proto": "https"})
    browser.force_login(make_user("audience.view_audience", "audience.change_audience"))
    row = {"row0-kind": "attribute", "row0-group": "0", "row0-name": "country"}
    posted = {"group_count": "1", "row_count": "1", "row0-test": "equal", **row}
    url = f"/audiences/of/{germans.key}/"
    page = browser.post(url, {**posted, "name": "French", "row0-value": "FR"})
    assert "Somebody who may approve" in page.content.decode()
    germans.refresh_from_db()
    assert (germans.name, germans.rule, germans.version) == ("Germans", DE, 1)
    assert (
        browser.post(url, {**posted, "name": "From Germany", "row0-value": "DE"}).status_code == 302
    )
    germans.refresh_from_db()
    assert (germans.name, germans.version) == ("From Germany", 1)


def test_a_list_takes_no_file_meanwhile() -> None:
    listed = Audience.objects.create(key="vips", name="VIPs", kind=AudienceKind.LIST)
    running(audience=listed, offers=[make_offer()])
    (customer,) = make_customers(1)
    browser = Client(headers={"x-forwarded-proto": "https"})
    browser.force_login(make_user("audience.view_audience", "audience.change_audience"))
    file = SimpleUploadedFile("vips.csv", f"customer\n{customer.external_key}\n".encode())
    page = browser.post(f"/audiences/of/{listed.key}/list/", {"file": file}, follow=True)
    assert "Somebody who may approve" in page.content.decode()
    assert not listed.memberships.exists()


def test_an_approval_is_of_every_version_that_a_rule_reaches(
    germans: Audience, nested: Audience
) -> None:
    campaign = make_campaign(started_at=None, audience=nested)
    before = describe_campaign(campaign)
    assert say_version(nested) == "Outer, version 1; of Middle, version 1; of Germans, version 1"
    save_rule(germans, FR)
    assert describe_campaign(Campaign.objects.get()) != before
