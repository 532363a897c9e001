"""A fallback is nobody's draw, but it costs what it costs, and is for whom it is for."""

from pathlib import Path

import pytest

from audience.audiences.saving import save_rule
from audience.models import Audience, Customer
from campaigns.models import Uncounted
from recommender.models import Decision
from tests.campaigns.offices import NOWHERE, open_office, shown, start, used, visit
from tests.makers import make_customers, make_offer

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_a_fallback_costs_is_spent_of_the_budget_and_never_more(tmp_path: Path) -> None:
    dear, plain = make_offer(cost_cents=70), make_offer(cost_cents=30)
    campaign = start(offers=[dear], fallback=plain, budget_cents=1025)
    with open_office(tmp_path) as office:
        outcomes = office.serve(*(visit(campaign, f"c{n}") for n in range(60)))
    spent = sum(Decision.objects.values_list("cost_cents", flat=True))
    assert spent == 14 * 70 + 30
    assert used(f"budget:{campaign.key}") == spent
    assert shown(outcomes) == {dear.key: 14, plain.key: 1}
    last = Decision.objects.filter(offer=None).exclude(arm="hold-out").latest("id")
    assert f"{plain.key} costs more than is left of the campaign's budget" in last.reasons


def test_a_fallback_is_for_its_audience_alone(tmp_path: Path) -> None:
    audience = save_rule(
        Audience.objects.create(key="germans", name="Germans"),
        {"all": [{"attribute": "country", "is": "one of", "value": ["de"]}]},
    )
    plain = make_offer(audience=audience)
    campaign = start(offers=[make_offer()], fallback=plain)
    campaign.offers.update(is_active=False)
    make_customers(10, attributes={"country": "fr"})
    germans = make_customers(10, attributes={"country": "de"})
    everybody = Customer.objects.values_list("external_key", flat=True)
    with open_office(tmp_path) as office:
        office.serve(*(visit(campaign, key) for key in everybody))
    given = set(Decision.objects.filter(offer=plain.key).values_list("customer", flat=True))
    assert given
    assert given <= {customer.pk for customer in germans}
    refused = Decision.objects.filter(offer=None).exclude(arm="hold-out").latest("id")
    assert f"{plain.key}: the customer is not in the audience" in refused.reasons


def test_a_fallbacks_own_limits_do_not_count(tmp_path: Path) -> None:
    plain = make_offer(cap_total=1, cap_per_customer=1)
    campaign = start(offers=[make_offer(cap_total=1)], fallback=plain)
    with open_office(tmp_path) as office:
        outcomes = [office.serve(visit(campaign, f"c{n % 10}")) for n in range(40)]
    assert shown([each for some in outcomes for each in some])[plain.key] > 20


@pytest.mark.parametrize("uncounted", Uncounted)
def test_while_nobody_counts_a_fallback_that_costs_something_is_shown_if_it_says_so(
    tmp_path: Path, uncounted: Uncounted
) -> None:
    plain = make_offer(cost_cents=30, uncounted=uncounted)
    campaign = start(offers=[make_offer(cost_cents=70)], fallback=plain, budget_cents=1000)
    with open_office(tmp_path, NOWHERE) as office:
        outcomes = office.serve(*(visit(campaign, f"c{n}") for n in range(20)))
    assert all(outcome.is_degraded for outcome in outcomes)
    assert (shown(outcomes)[plain.key] > 0) is (uncounted == Uncounted.SHOW)
