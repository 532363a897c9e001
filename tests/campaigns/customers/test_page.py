"""A customer's page: who may see it, what happened in order, and why an offer came or did not."""

import re
from html import unescape
from http import HTTPStatus
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audience.audiences.saving import save_rule
from audience.importing.copying import import_events
from audience.models import (
    Audience,
    Channel,
    Consent,
    ConsentChange,
    ConsentState,
    Customer,
    Identity,
    Source,
)
from campaigns.customers.timeline import Place, read_timeline
from campaigns.models import Campaign, Counter, Offer
from experiments.assigning.assignment import bucket_of
from experiments.models import Arm, Experiment
from tests.makers import (
    DAY,
    HOUR,
    NOW,
    event_row,
    expose,
    make_campaign,
    make_customer,
    make_customers,
    make_decision,
    make_event,
    make_holdout,
    make_offer,
    make_placement,
    make_user,
    merge,
)

pytestmark = pytest.mark.django_db

SEE = "audience.view_customer"
HOSTILE = "<script>alert(1)</script>"
MOST_QUERIES = 25


def browse(*permissions: str) -> Client:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(*permissions))
    return client


def page_of(customer: Customer, **params: str) -> str:
    answer = browse(SEE).get(reverse("customer", args=[customer.pk]), params)
    assert answer.status_code == HTTPStatus.OK
    return unescape(answer.content.decode())


def decide(campaign: Campaign, customer: Customer, offer: str | None, **values: Any) -> None:
    make_decision(campaign.policy, customer, offer, campaign=campaign.key, **values)


def test_only_who_may_see_customers_sees_one() -> None:
    ann = make_customer()
    for url in (
        reverse("customer", args=[ann.pk]),
        reverse("customer-more", args=[ann.pk]),
        reverse("customer-search"),
    ):
        assert browse("campaigns.view_campaign").get(url).status_code == HTTPStatus.FORBIDDEN
        assert Client(headers={"x-forwarded-proto": "https"}).get(url).status_code == 302


def test_the_page_tells_everything_that_happened_newest_first() -> None:
    campaign = make_campaign(offers=[make_offer(key="crimson", name="Red shoes"), make_offer()])
    visitor, ann = make_customer(), make_customer(attributes={"segment": "gold"})
    Identity.objects.create(customer=ann, kind="email", value="ann@example.com")
    merge(visitor, into=ann)
    arm = campaign.experiment.arms.order_by("position").last()
    assert arm is not None
    make_event(visitor, "Page Viewed", at=NOW, properties={"path": HOSTILE})
    expose(campaign.experiment, ann, arm.key, at=NOW + HOUR)
    decide(campaign, ann, "crimson", at=NOW + 2 * HOUR)
    said = {"channel": Channel.EMAIL, "purpose": "news", "state": ConsentState.OPTED_IN}
    Consent.objects.create(customer=ann, changed_at=NOW + 3 * HOUR, **said)
    ConsentChange.objects.create(customer=ann, changed_at=NOW + 3 * HOUR, source="form", **said)
    answer = browse(SEE).get(reverse("customer", args=[ann.pk]))
    assert HOSTILE not in answer.content.decode()
    kinds = re.findall(r'<li class="(event|exposure|decision|consent)">', answer.content.decode())
    assert kinds == ["consent", "decision", "exposure", "event"]
    page = unescape(answer.content.decode())
    for words in ("gold", "ann@example.com", visitor.external_key, "Red shoes", "known by form"):
        assert words in page


def test_a_visitors_page_is_that_of_the_customer_whom_the_visitor_turned_out_to_be() -> None:
    visitor, ann = make_customer(), make_customer()
    merge(visitor, into=ann)
    answer = browse(SEE).get(reverse("customer", args=[visitor.pk]))
    assert answer["Location"] == reverse("customer", args=[ann.pk])


def test_no_entry_is_lost_or_repeated_between_pages_of_the_same_instant() -> None:
    ann, campaign = make_customer(), make_campaign()
    source = Source.objects.create(name="tests")
    import_events([event_row(ann, f"e{n}", at=NOW) for n in range(7)], source=source)
    for _ in range(4):
        decide(campaign, ann, None, at=NOW)
    make_event(ann, "before", at=NOW - HOUR)
    seen: list[tuple[str, str]] = []
    after: Place | None = None
    for _ in range(6):
        found = read_timeline([ann.pk], after=after, page=2)
        seen += [(entry.kind, entry.id) for entry in found.entries]
        after = found.next_place
        assert after is None or Place.read(after.text) == after
    assert after is None
    assert len(seen) == len(set(seen)) == 12


def test_more_is_fetched_from_where_the_page_ends() -> None:
    ann = make_customer()
    source = Source.objects.create(name="tests")
    import_events([event_row(ann, f"e{n:03}", at=NOW + n * HOUR) for n in range(60)], source=source)
    client = browse(SEE)
    first = client.get(reverse("customer", args=[ann.pk])).content.decode()
    (url,) = set(re.findall(r'hx-get="([^"]+)"', first))
    second = client.get(unescape(url), headers={"HX-Request": "true"}).content.decode()
    assert "e010" in first
    assert "e009" in second
    assert "e010" not in second
    assert "hx-get" not in second
    assert "<html" not in second
    assert "<html" in client.get(unescape(url)).content.decode()


@pytest.mark.parametrize(
    "after", ["", "rubbish", "a~b~c", f"{NOW.isoformat()}~event~x", f"{NOW.isoformat()}~else~1",
              "2026-01-01T00:00:00~event~1", f"{NOW.isoformat()}~event~{10**30}"],
)  # fmt: skip
def test_a_place_that_is_none_is_not_found(after: str) -> None:
    url = reverse("customer-more", args=[make_customer().pk])
    assert browse(SEE).get(url, {"after": after}).status_code == HTTPStatus.NOT_FOUND


def test_a_hold_out_is_explained() -> None:
    campaign, ann = make_campaign(), make_customer()
    decide(campaign, ann, None, at=NOW)
    made = "hold-out: no offer"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE recommender_decision SET reasons = %s", [f'["{made}"]'])
    page = page_of(ann, about=f"campaign:{campaign.key}")
    assert "which gets none, so that the others can be compared" in page


def test_who_is_held_out_from_all_campaigns_is_told_so() -> None:
    campaign, holdout = make_campaign(), make_holdout(percent=50)
    customers = make_customers(40)
    asked = f"campaign:{campaign.key}"
    out = next(c for c in customers if bucket_of(holdout.seed, c.external_key) < 5000)
    other = next(c for c in customers if bucket_of(holdout.seed, c.external_key) >= 5000)
    said = f"“{holdout.name}” holds the customer out from all campaigns"
    assert said in page_of(out, about=asked)
    assert said not in page_of(other, about=asked)
    # Whom somebody met as, one stays.
    expose(holdout, out, "open", at=NOW)
    expose(holdout, other, "held-out", at=NOW)
    assert said not in page_of(out, about=asked)
    assert said in page_of(other, about=asked)
    Experiment.objects.filter(pk=holdout.pk).update(traffic=0)
    (stranger,) = make_customers(1)
    assert said not in page_of(stranger, about=asked)


def test_an_offer_that_was_given_and_one_that_was_not_are_explained() -> None:
    red, blue = make_offer(name="Red shoes"), make_offer(name="Blue hat")
    campaign, ann = make_campaign(offers=[red, blue]), make_customer()
    decide(campaign, ann, red.key, at=NOW)
    assert "“Red shoes”, in “Personalised”. Its chance was 50.0%." in page_of(
        ann, about=f"campaign:{campaign.key}"
    )
    page = page_of(ann, about=f"offer:{blue.key}")
    assert "“Blue hat” could have been drawn, by a chance of 50.0%" in page
    assert f"“Blue hat” is offered by “{campaign.name}”." in page


def test_without_a_decision_the_present_state_explains() -> None:
    placement, ann = make_placement(), make_customer()
    first = make_campaign(placement=placement, priority=1)
    second = make_campaign(placement=placement, priority=2)
    draft = make_campaign(placement=placement, started_at=None)
    page = page_of(ann, about=f"campaign:{second.key}")
    assert f"“{second.name}” never decided for this customer." in page
    assert f"The customer was never seen in “{placement.name}”." in page
    assert f"In the same placement “{first.name}” decides first" in page
    assert "The customer would be in “" in page
    make_decision(first.policy, ann, None, at=NOW, campaign=first.key)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE recommender_decision SET placement = %s", [placement.key])
    assert f"it was “{first.name}” that decided last" in page_of(
        ann, about=f"campaign:{second.key}"
    )
    assert "its state is “Draft”" in page_of(ann, about=f"campaign:{draft.key}")


def test_the_arm_that_was_met_is_the_one_that_counts_even_when_it_is_halted() -> None:
    campaign, ann = make_campaign(), make_customer()
    arm = campaign.experiment.arms.order_by("position").last()
    assert arm is not None
    expose(campaign.experiment, ann, arm.key, at=NOW)
    asked = f"campaign:{campaign.key}"
    assert f"The customer is in “{arm.name}”" in page_of(ann, about=asked)
    Arm.objects.filter(pk=arm.pk).update(halted_at=NOW)
    assert f"The customer is in “{arm.name}”" in page_of(ann, about=asked)


def test_an_offer_that_may_not_be_given_any_more_says_which_rule_it_is() -> None:
    ann, offer = make_customer(), make_offer()
    campaign = make_campaign(offers=[offer, make_offer()])
    asked = f"offer:{offer.key}"
    assert "ever decided for this customer" in page_of(ann, about=asked)
    Offer.objects.filter(pk=offer.pk).update(cap_total=3)
    Counter.objects.create(name=f"offer:{offer.key}", used=3)
    assert "it was given out 3 times, as often as it may be" in page_of(ann, about=asked)
    Offer.objects.filter(pk=offer.pk).update(cap_total=None, cap_per_customer=1, cap_days=365)
    assert "is offered by" in page_of(ann, about=asked)
    Offer.objects.filter(pk=offer.pk).update(is_active=False)
    assert "cannot be shown now: it is switched off" in page_of(ann, about=asked)
    assert campaign.name in page_of(ann)


def test_what_is_asked_of_nothing_is_not_found() -> None:
    url = reverse("customer", args=[make_customer().pk])
    for about in ("campaign:none", "offer:none"):
        assert browse(SEE).get(url, {"about": about}).status_code == HTTPStatus.NOT_FOUND
    assert browse(SEE).get(url, {"about": HOSTILE}).status_code == HTTPStatus.OK


def test_customers_are_found_by_a_whole_name() -> None:
    ann, client = make_customer(), browse(SEE)
    Identity.objects.create(customer=ann, kind="email", value="ann@example.com")
    url = reverse("customer-search")
    for name in (ann.external_key, "ann@example.com", " ann@example.com "):
        assert client.get(url, {"q": name})["Location"] == reverse("customer", args=[ann.pk])
    for name in (HOSTILE, "a\0b", "x" * 5000, ann.external_key[:-1]):
        page = client.get(url, {"q": name})
        assert "Nobody is known as" in page.content.decode()
        assert HOSTILE not in page.content.decode()
    assert client.get(url).status_code == HTTPStatus.OK
    other = make_customer()
    Identity.objects.create(customer=other, kind="device", value=ann.external_key)
    assert other.external_key in client.get(url, {"q": ann.external_key}).content.decode()


def test_a_page_of_many_events_takes_few_queries() -> None:
    red = make_offer(cap_total=5, cap_per_customer=5)
    campaign, ann = make_campaign(offers=[red, make_offer()]), make_customer()
    source = Source.objects.create(name="tests")
    import_events(
        [event_row(ann, "Page Viewed", at=NOW + n * DAY / 100) for n in range(2000)], source=source
    )
    for number in range(5):
        decide(campaign, ann, red.key, at=NOW + number * HOUR)
    for about in (f"campaign:{campaign.key}", f"offer:{red.key}"):
        client = browse(SEE)
        with CaptureQueriesContext(connection) as queries:
            client.get(reverse("customer", args=[ann.pk]), {"about": about})
        assert len(queries) <= MOST_QUERIES


def test_who_is_not_in_the_audience_is_told_so() -> None:
    audience = save_rule(
        Audience.objects.create(key="germans", name="Germans"),
        {"all": [{"attribute": "country", "is": "one of", "value": ["de"]}]},
    )
    campaign = make_campaign(audience=audience)
    says = "not in that audience"
    for country, is_told in (("de", False), ("fr", True)):
        person = make_customer(attributes={"country": country})
        address = reverse("customer", args=[person.pk])
        page = browse(SEE).get(address, {"about": f"campaign:{campaign.key}"})
        assert (says in page.content.decode()) is is_told


def test_the_admin_leads_to_the_page() -> None:
    ann = make_customer()
    page = browse(SEE).get(reverse("admin:audience_customer_change", args=[ann.pk]))
    assert reverse("customer", args=[ann.pk]) in page.content.decode()


def test_nothing_is_asked_about_what_no_key_can_hold() -> None:
    address = reverse("customer", args=[make_customer().pk])
    asked = browse(SEE).get(address, {"about": "campaign:a\0b"})
    assert asked.status_code == HTTPStatus.NOT_FOUND
