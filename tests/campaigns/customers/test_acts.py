"""What people do on a customer's page: record what was said, export, and erase with care."""

import io
import zipfile
from http import HTTPStatus

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audience.consent.record import record_consent
from audience.models import Channel, Consent, ConsentChange, ConsentState, Customer, Erasure
from campaigns.tasks import erase_due
from tests.makers import make_customer, make_user

pytestmark = pytest.mark.django_db

SEE = "audience.view_customer"


def log_in(*rights: str) -> Client:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(*rights))
    return client


def agreed(customer: Customer) -> Consent:
    record_consent(
        customer,
        channel=Channel.EMAIL,
        purpose="marketing",
        state=ConsentState.OPTED_IN,
        source="form",
        evidence={},
        now=timezone.now(),
    )
    return Consent.objects.get(customer=customer)


def test_what_was_said_to_staff_is_recorded_with_who_heard_it() -> None:
    consent = agreed(make_customer())
    officer = log_in(SEE, "audience.change_consent")
    address = reverse("customer-consent", args=[consent.customer_id, consent.pk])
    assert "Declined since" in officer.get(reverse("customer", args=[consent.customer_id])).text
    officer.post(address, {"state": "out"})
    consent.refresh_from_db()
    assert consent.state == ConsentState.OPTED_OUT
    change = ConsentChange.objects.latest("id")
    assert change.source == "staff"
    assert change.evidence["by"]
    officer.post(address, {"state": "in"})
    consent.refresh_from_db()
    assert consent.state == ConsentState.OPTED_IN


def test_another_customers_consent_is_not_changed_here() -> None:
    consent = agreed(make_customer())
    address = reverse("customer-consent", args=[make_customer().pk, consent.pk])
    response = log_in("audience.change_consent").post(address, {"state": "out"})
    assert response.status_code == HTTPStatus.NOT_FOUND


def test_all_that_is_known_is_downloaded() -> None:
    customer = make_customer(attributes={"city": "Lund"})
    response = log_in("audience.export_customer").post(
        reverse("customer-export", args=[customer.pk])
    )
    with zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content))) as archive:  # type: ignore[attr-defined]
        assert any("Lund" in archive.read(name).decode() for name in archive.namelist())


@pytest.mark.django_db(transaction=True)
def test_nobody_is_erased_by_mistake() -> None:
    customer = make_customer()
    officer = log_in(SEE, "audience.erase_customer")
    address = reverse("customer-erase", args=[customer.pk])
    assert "is not the key" in officer.post(address, {"key": "somebody else"}).text
    assert not Erasure.objects.exists()
    officer.post(address, {"key": customer.external_key})
    assert erase_due() == 1
    assert not Customer.objects.filter(pk=customer.pk).exists()
    erasure = Erasure.objects.get()
    assert erasure.erased_at is not None
    assert erasure.left == {}


@pytest.mark.parametrize("name", ["customer-export", "customer-erase"])
def test_who_may_only_look_does_nothing(name: str) -> None:
    customer = make_customer()
    viewer = log_in(SEE)
    response = viewer.post(reverse(name, args=[customer.pk]), {"key": customer.external_key})
    assert response.status_code == HTTPStatus.FORBIDDEN
    page = viewer.get(reverse("customer", args=[customer.pk])).text
    assert "Erase" not in page
    assert "Export" not in page
