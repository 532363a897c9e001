import pytest
from pytest_django import Settings

from audience.consent.suppression import find_suppressed, hash_address, lift_suppression, suppress
from audience.models import Channel, Suppression, SuppressionReason
from tests.makers import NOW

EMAIL = Channel.EMAIL


@pytest.mark.django_db
def test_many_addresses_are_looked_up_as_they_were_given() -> None:
    suppress("Ann@Example.com", channel=EMAIL, reason=SuppressionReason.COMPLAINT, now=NOW)
    found = find_suppressed(["ann@example.com", "ANN@example.com ", "b@example.com"], channel=EMAIL)
    assert found == {
        "ann@example.com": SuppressionReason.COMPLAINT,
        "ANN@example.com ": SuppressionReason.COMPLAINT,
    }
    assert find_suppressed(["ann@example.com"], channel=Channel.WEBHOOK) == {}
    assert find_suppressed([], channel=EMAIL) == {}


@pytest.mark.django_db
def test_the_first_reason_stays() -> None:
    for reason in (SuppressionReason.BOUNCE, SuppressionReason.MANUAL):
        suppress("ann@example.com", channel=EMAIL, reason=reason, now=NOW)
    assert Suppression.objects.get().reason == SuppressionReason.BOUNCE


def test_a_hash_needs_the_key(settings: Settings) -> None:
    settings.SUPPRESSION_KEY = "one"
    one = hash_address("ann@example.com")
    settings.SUPPRESSION_KEY = "another"
    assert hash_address("ann@example.com") != one


@pytest.mark.django_db
@pytest.mark.parametrize("reason", SuppressionReason)
def test_only_who_unsubscribed_may_ask_to_be_written_to_again(reason: SuppressionReason) -> None:
    suppress("ann@example.com", channel=EMAIL, reason=reason, now=NOW)
    lifted = lift_suppression("Ann@example.com", channel=EMAIL)
    assert lifted == (reason == SuppressionReason.UNSUBSCRIBED)
    assert bool(find_suppressed(["ann@example.com"], channel=EMAIL)) != lifted
