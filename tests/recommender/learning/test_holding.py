"""A check that fails holds publishing; what was published stays, until somebody releases it."""

from http import HTTPStatus

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from audience.models import AuditEntry, Kind, Scope
from audience.sources.keys import create_source
from recommender.bandits.base import Statistics
from recommender.evaluating.evaluation import PROPENSITIES, evaluate_policy
from recommender.learning.holding import hold_publishing, is_held, release
from recommender.learning.learn import learn_batch
from recommender.learning.rebuilding import check_sums, repair_sums
from recommender.models import Decision, OfferStatistics, Policy, PublishingHold
from tests.asgi import open_site
from tests.makers import DAY, NOW, make_policy, make_user
from tests.recommender.learned import OFFERS, happen

pytestmark = pytest.mark.django_db(transaction=True)

SECURE = {"x-forwarded-proto": "https"}
LATER = NOW + 30 * DAY


@pytest.fixture
def policy() -> Policy:
    policy = make_policy(offers=OFFERS)
    happen(policy, 60, seed=1)
    learn_batch(policy.pk, now=LATER)
    return policy


def spoil(policy: Policy) -> None:
    row = policy.statistics.get(offer="red")
    sums = Statistics.from_bytes(bytes(row.sums))
    wrong = Statistics(sums.precision_update, 2 * sums.b, sums.n, sums.s)
    OfferStatistics.objects.filter(pk=row.pk).update(sums=wrong.to_bytes())


def learn_more(policy: Policy, seed: int) -> int | None:
    happen(policy, 10, seed=seed, at=NOW + seed * DAY)
    learned = learn_batch(policy.pk, now=LATER + seed * DAY)
    assert learned is not None
    assert learned.learned == 10
    return learned.version


def test_wrong_sums_hold_publishing_until_somebody_releases_it(
    policy: Policy, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(policy)
    check_sums(policy, now=LATER)
    assert "publishes nothing until somebody releases it: Its sums are wrong" in caplog.text
    # It goes on learning, and what decided before still does.
    assert learn_more(policy, 2) is None
    assert policy.versions.count() == 1
    repair_sums(policy.pk)
    assert learn_more(policy, 3) is None
    release(PublishingHold.objects.get(), now=LATER)
    assert learn_more(policy, 4) == 2
    assert check_sums(policy, now=LATER).problem == ""
    with pytest.raises(ValidationError, match="publishes again already"):
        release(PublishingHold.objects.get(), now=LATER)


def test_it_is_held_once(policy: Policy) -> None:
    assert hold_publishing(policy, reason="One.", now=LATER)
    assert not hold_publishing(policy, reason="Two.", now=LATER)
    assert PublishingHold.objects.get().reason == "One."


def test_propensities_that_do_not_hold_do_too() -> None:
    policy = make_policy(offers=OFFERS[:2], held_back_share=0.5)
    happen(policy, 20, seed=1, offers=OFFERS[:2])
    happen(policy, 400, seed=2, offers=["red"], held_back=True)
    learn_batch(policy.pk, now=LATER)
    evaluation = evaluate_policy(policy, campaign="spring", names={}, now=LATER)
    assert evaluation is not None
    assert evaluation.integrity["is_broken"]
    hold = PublishingHold.objects.get()
    assert hold.reason == PROPENSITIES
    # Whoever releases it knows of that; what comes later is another matter.
    release(hold, now=LATER)
    evaluate_policy(policy, campaign="spring", names={}, now=LATER)
    assert not is_held(policy)
    happen(policy, 400, seed=3, offers=["blue"], held_back=True, at=LATER + DAY)
    learn_batch(policy.pk, now=LATER + 30 * DAY)
    assert Decision.objects.count() == 820
    # Half red and half blue is what was logged; since the release there was only blue.
    evaluation = evaluate_policy(policy, campaign="spring", names={}, now=LATER + 30 * DAY)
    assert evaluation is not None
    happen(policy, 400, seed=4, offers=["blue"], held_back=True, at=LATER + 2 * DAY)
    learn_batch(policy.pk, now=LATER + 30 * DAY)
    evaluate_policy(policy, campaign="spring", names={}, now=LATER + 30 * DAY)
    assert is_held(policy)


def test_it_is_red_in_the_admin_and_an_approver_releases_it(policy: Policy) -> None:
    hold_publishing(policy, reason="Its sums are wrong.", now=LATER)
    looking = ["recommender.view_publishinghold", "recommender.view_policy"]
    viewer, approver = Client(headers=SECURE), Client(headers=SECURE)
    viewer.force_login(make_user(*looking))
    approver.force_login(make_user(*looking, "recommender.release_publishinghold"))
    page = viewer.get(reverse("admin:recommender_policy_changelist")).content.decode()
    assert "Held: Its sums are wrong." in page
    address = reverse("admin:recommender_publishinghold_changelist")
    chosen = {"action": "release", "_selected_action": [PublishingHold.objects.get().pk]}
    viewer.post(address, chosen)
    assert is_held(policy)
    done = approver.post(address, chosen, follow=True)
    assert done.status_code == HTTPStatus.OK
    assert "publishes with its next lesson" in done.content.decode()
    assert not is_held(policy)
    again = approver.post(address, chosen, follow=True)
    assert "publishes again already" in again.content.decode()
    entry = AuditEntry.objects.filter(table="recommender_publishinghold").latest("at")
    assert set(entry.after or {}) == {"released_at"}
    assert entry.by.startswith("user")


def test_prometheus_is_told(policy: Policy) -> None:
    hold_publishing(policy, reason="Its sums are wrong.", now=LATER)
    _, key = create_source("prometheus", kind=Kind.ADMIN, scopes=[Scope.METRICS])
    with open_site() as site:
        body = site.get("/metrics", headers={"Authorization": f"Bearer {key}"}).text
    assert f'offerlab_policy_publishing_held{{policy="{policy.key}"}} 1.0' in body
    assert f'offerlab_policy_sums_wrong{{policy="{policy.key}"}} 0.0' in body
