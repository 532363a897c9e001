"""Policies in the admin: to look at, and nothing else."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from recommender.learning.pinning import pin_version
from recommender.models import Policy, PolicyVersion
from tests.makers import NOW, make_policy, make_user

pytestmark = pytest.mark.django_db

SECURE = {"x-forwarded-proto": "https"}
Queries = Callable[[int], AbstractContextManager[Any]]


@pytest.fixture
def admin() -> Client:
    client = Client(headers=SECURE)
    client.force_login(make_user(is_superuser=True))
    return client


def test_the_list_says_what_each_policy_learned(admin: Client) -> None:
    make_policy()
    learned = make_policy(reward_kind="sum", margin=0.4)
    for number, learned_from in ((1, 10), (2, 1234)):
        PolicyVersion.objects.create(
            policy=learned, number=number, odds=b"", learned_from=learned_from, published_at=NOW
        )
    page = admin.get(reverse("admin:recommender_policy_changelist")).content.decode()
    assert "v2, from 1,234 decisions" in page
    assert "has learned nothing yet" in page
    assert "Order Completed: the sum of its values, 0.4 of it less the offer&#x27;s cost" in page
    assert page.count("Not checked yet") == 2


def test_the_list_says_whether_the_sums_are_what_the_log_says(admin: Client) -> None:
    make_policy(sums_checked_at=NOW)
    make_policy(sums_checked_at=NOW, sums_are_wrong=True, sums_problem="red differs by 2.0e-01")
    page = admin.get(reverse("admin:recommender_policy_changelist")).content.decode()
    assert "As the log says" in page
    assert "red differs by 2.0e-01" in page


def test_the_list_takes_as_many_queries_for_ten_policies_as_for_one(
    admin: Client, django_assert_max_num_queries: Queries
) -> None:
    for _ in range(10):
        make_policy()
    with django_assert_max_num_queries(8):
        page = admin.get(reverse("admin:recommender_policy_changelist")).content.decode()
    assert page.count("has learned nothing yet") == 10


def test_a_policy_is_looked_at_and_not_touched(admin: Client) -> None:
    policy = make_policy()
    address = reverse("admin:recommender_policy_change", args=[policy.pk])
    assert admin.get(address).status_code == HTTPStatus.OK
    assert admin.post(address, {"name": "Other"}).status_code == HTTPStatus.FORBIDDEN
    gone = reverse("admin:recommender_policy_delete", args=[policy.pk])
    assert admin.get(gone).status_code == HTTPStatus.FORBIDDEN
    added = reverse("admin:recommender_policy_add")
    assert admin.get(added).status_code == HTTPStatus.FORBIDDEN


def versions_of(policy: Policy, *numbers: int) -> list[PolicyVersion]:
    return [
        PolicyVersion.objects.create(
            policy=policy, number=number, odds=b"", learned_from=number, published_at=NOW
        )
        for number in numbers
    ]


def act(client: Client, action: str, *versions: PolicyVersion) -> str:
    address = reverse("admin:recommender_policyversion_changelist")
    chosen = {"action": action, "_selected_action": [version.pk for version in versions]}
    return client.post(address, chosen, follow=True).content.decode()


def test_an_approver_goes_back_to_a_version_and_on_again() -> None:
    policy = make_policy()
    first, second = versions_of(policy, 1, 2)
    viewer, approver = Client(headers=SECURE), Client(headers=SECURE)
    looking = ["recommender.view_policyversion", "recommender.view_policy"]
    viewer.force_login(make_user(*looking))
    approver.force_login(make_user(*looking, "recommender.pin_policyversion"))
    act(viewer, "pin", first)
    policy.refresh_from_db()
    assert policy.pinned_version is None
    assert "Choose one version." in act(approver, "pin", first, second)
    assert "decides by version 1 within seconds" in act(approver, "pin", first)
    policy.refresh_from_db()
    assert policy.pinned_version == 1
    page = approver.get(reverse("admin:recommender_policy_changelist")).content.decode()
    assert "v1, pinned" in page
    assert "the newest version decides" in act(approver, "unpin", first)
    policy.refresh_from_db()
    assert policy.pinned_version is None


def test_a_version_that_was_thinned_out_meanwhile_is_refused() -> None:
    (gone,) = versions_of(make_policy(), 1)
    PolicyVersion.objects.filter(pk=gone.pk).delete()
    with pytest.raises(ValidationError, match="no longer kept"):
        pin_version(gone)
