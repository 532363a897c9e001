"""Two people who set one experiment up do not overwrite each other unseen."""

import pytest
from django.test import Client

from experiments.models import Experiment, Prerequisite
from tests.filled_forms import MEANWHILE, Sent, open_form, read_form
from tests.makers import make_experiment, make_holdout, make_metric

pytestmark = pytest.mark.django_db


@pytest.fixture
def draft() -> Experiment:
    return make_experiment(is_standalone=True, started_at=None)


def address(draft: Experiment, step: str) -> str:
    return f"/setup/{draft.key}/{step}/"


def with_third_arm(sent: Sent) -> Sent:
    more = {"arm_2_key": "", "arm_2_name": "Third", "arm_2_share": "10"}
    shares = {"arm_0_share": ["45"], "arm_1_share": ["45"], "arm_count": ["3"]}
    return sent | shares | {name: [value] for name, value in more.items()}


def test_an_arm_that_somebody_else_added_is_not_taken_away_unseen(
    draft: Experiment, admin: Client
) -> None:
    page = address(draft, "arms")
    first, second = (open_form(admin, page, having="arm_count") for _ in range(2))
    assert admin.post(page, with_third_arm(first)).status_code == 302
    words = admin.post(page, second | {"arm_1_name": ["Free"]}).content.decode()
    assert MEANWHILE in words
    assert "What has no field here, such as a row, was changed too" in words
    assert draft.arms.count() == 3
    assert admin.post(page, read_form(words, having="arm_count")).status_code == 302
    assert [arm.name for arm in draft.arms.all()] == ["Control", "Free"]


def test_two_clicks_add_one_arm_without_a_conflict(draft: Experiment, admin: Client) -> None:
    page = address(draft, "arms")
    sent = with_third_arm(open_form(admin, page, having="arm_count"))
    assert [admin.post(page, sent).status_code for _ in range(2)] == [302, 302]
    assert [arm.name for arm in draft.arms.all()] == ["Control", "New", "Third"]


def test_a_row_that_is_only_added_hides_nothing_of_what_was_saved(
    draft: Experiment, admin: Client
) -> None:
    page = address(draft, "arms")
    first, second = (open_form(admin, page, having="arm_count") for _ in range(2))
    admin.post(page, first | {"arm_1_name": ["Theirs"]})
    added = admin.post(page, second | {"add": "arm", "arm_1_name": ["Ours"]}).content.decode()
    assert MEANWHILE not in added
    words = admin.post(page, read_form(added, having="arm_count")).content.decode()
    assert "Meanwhile it was saved as “Theirs”." in words


def test_metrics_and_holdouts_are_named(draft: Experiment, admin: Client) -> None:
    metrics, audience = address(draft, "metrics"), address(draft, "audience")
    goal, other = make_metric(), make_metric()
    first, second = (open_form(admin, metrics, having="goal") for _ in range(2))
    admin.post(metrics, first | {"goal": [str(goal.pk)]})
    words = admin.post(metrics, second | {"goal": [str(other.pk)]}).content.decode()
    assert f"Meanwhile it was saved as “{goal}”." in words
    holdout = make_holdout()
    sent = open_form(admin, audience, having="traffic")
    Prerequisite.objects.create(experiment=draft, arm=holdout.arms.get(is_control=False))
    words = admin.post(audience, sent).content.decode()
    assert f"Meanwhile it was saved as “{holdout}”." in words
    assert draft.prerequisites.count() == 1


def test_nobody_asks_for_what_the_page_did_not_show(draft: Experiment, admin: Client) -> None:
    page = f"/setup/{draft.key}/"
    sent = open_form(admin, page, having="note") | {"do": ["request"]}
    draft.arms.filter(is_control=False).update(payload={"colour": "blue"})
    answer = admin.post(page, sent, follow=True)
    assert "Somebody changed it since you opened this page" in answer.content.decode()
    # Who looks at it again is told what else there is.
    again = open_form(admin, page, having="note") | {"do": ["request"]}
    words = admin.post(page, again, follow=True).content.decode()
    assert "Somebody changed it" not in words
    assert "Choose at least one guardrail" in words


def test_a_share_that_somebody_else_changed_is_not_changed_unseen(admin: Client) -> None:
    running = make_experiment(is_standalone=True)
    page = f"/experiments/{running.key}/do/ramp/"
    why = {"reason": ["More of them."]}
    first, second = (open_form(admin, page, having="traffic") | why for _ in range(2))
    assert admin.post(page, first | {"traffic": ["20"]}).status_code == 302
    words = admin.post(page, second | {"traffic": ["60"]}).content.decode()
    assert MEANWHILE in words
    running.refresh_from_db()
    assert running.traffic == 2000
    assert admin.post(page, read_form(words, having="traffic")).status_code == 302
