"""A slate that could not be longer is kept, and what is kept is not given out once more."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from campaigns.deciding.desk import Outcome
from campaigns.lifecycle.drafting import Split, find_nothing
from campaigns.models import Campaign, Cap, Offer
from recommender.models import Decision
from tests.campaigns.deciding.placed import those_in
from tests.campaigns.offices import Office, open_office, shown, used, visit
from tests.makers import make_campaign, make_offer
from wire.notices import announce_change

pytestmark = pytest.mark.django_db(transaction=True)


def begin(offers: Sequence[Any], **plan: Any) -> Campaign:
    """Start a campaign whose customers keep offers for half an hour."""
    return make_campaign(
        offers=offers, started_at=timezone.now(), hold_minutes=30, split=Split(1, 49), **plan
    )


def ask_twice(office: Office, campaign: Campaign, arm: str) -> tuple[Outcome, Outcome]:
    """Let somebody of an arm ask for five places, and once more."""
    name = next(those_in(campaign, arm, (f"c{n}" for n in range(1000))))
    ((first,), (second,)) = (office.serve(visit(campaign, name, 5)) for _ in range(2))
    return first, second


@pytest.mark.parametrize("arm", ["control", "personalised"])
def test_the_control_keeps_a_slate_though_it_never_draws_nothing(tmp_path: Path, arm: str) -> None:
    campaign = begin([make_offer(), make_offer(), find_nothing()])
    with open_office(tmp_path) as office:
        first, second = ask_twice(office, campaign, arm)
    assert shown([first]) == shown([second])
    assert Decision.objects.count() == (2 if arm == "control" else 3)


@pytest.mark.parametrize("arm", ["control", "personalised"])
def test_what_limits_leave_of_a_slate_is_kept_and_counted_once(tmp_path: Path, arm: str) -> None:
    gone, rare, plenty = make_offer(cap_total=1), make_offer(cap_per_customer=3), make_offer()
    campaign = begin([gone, rare, plenty])
    with open_office(tmp_path) as office:
        # Who asks first has all of them.
        ask_twice(office, campaign, "control" if arm == "personalised" else "personalised")
        first, second = ask_twice(office, campaign, arm)
    assert shown([first]) == shown([second]) == {rare.key: 1, plenty.key: 1}
    assert Decision.objects.filter(arm=arm).count() == 2
    assert used(f"offer:{gone.key}") == 1


@pytest.mark.parametrize("arm", ["control", "personalised"])
def test_a_campaigns_limit_does_not_take_away_what_a_customer_has(tmp_path: Path, arm: str) -> None:
    campaign = begin([make_offer() for _ in range(4)])
    Cap.objects.create(campaign=campaign, limit=2, window="day")
    with open_office(tmp_path) as office:
        first, second = ask_twice(office, campaign, arm)
    assert shown([first]) == shown([second])
    assert Decision.objects.count() == 2


def test_a_slate_that_could_be_longer_by_now_is_drawn_anew(tmp_path: Path) -> None:
    late = make_offer(is_active=False)
    campaign = begin([make_offer(), make_offer(), late])
    with open_office(tmp_path) as office:
        ask_twice(office, campaign, "personalised")
        assert Decision.objects.count() == 2
        Offer.objects.filter(pk=late.pk).update(is_active=True)
        announce_change()
        office.runner.run(office.snapshot.look(at_once=True))
        first, second = ask_twice(office, campaign, "personalised")
    assert shown([first]) == shown([second])
    assert len(shown([first])) == 3
    assert Decision.objects.count() == 5
