from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, models
from django.db.migrations.writer import MigrationWriter

from audience.customers.sampling import sample_attributes
from audience.migration_operations import CreatePartitionedModel
from audience.models import Customer, Event, Identity, ReceivedMessage, RejectedEvent, Source

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.django_db
def test_a_customers_key_is_not_empty() -> None:
    with pytest.raises(IntegrityError, match="customer_key_is_not_empty"):
        Customer.objects.create(external_key="")


@pytest.mark.django_db
def test_a_customer_is_merged_into_another() -> None:
    customer = Customer.objects.create(external_key="ann")
    with pytest.raises(IntegrityError, match="merged_into_another_customer"):
        Customer.objects.filter(pk=customer.pk).update(merged_into=customer)


@pytest.mark.django_db
def test_an_identity_belongs_to_one_customer() -> None:
    for key in ("ann", "bob"):
        Customer.objects.create(external_key=key)
    ann, bob = Customer.objects.order_by("external_key")
    Identity.objects.create(kind="email", value="a@example.com", customer=ann)
    with pytest.raises(IntegrityError, match="one_customer_per_identity"):
        Identity.objects.create(kind="email", value="a@example.com", customer=bob)


def test_records_are_named_as_people_know_them() -> None:
    assert str(Source(name="shop")) == "shop"
    assert str(Customer(external_key="ann")) == "ann"
    assert str(Identity(kind="email", value="a@example.com")) == "email a@example.com"
    assert str(ReceivedMessage(message_id="m1")) == "m1"
    assert str(Event(name="Seen", occurred_at=NOW)) == "Seen at 2026-03-02 12:00:00+00:00"
    assert str(RejectedEvent(reason="event is empty.")) == "event is empty."


def test_a_migration_with_a_partitioned_table_can_be_written_again() -> None:
    operation = CreatePartitionedModel(
        name="Thing", fields=[("at", models.DateTimeField())], partition_by="at"
    )
    name, args, kwargs = operation.deconstruct()
    assert (name, args, kwargs["partition_by"]) == ("CreatePartitionedModel", [], "at")
    assert "partition_by" in MigrationWriter.serialize(kwargs)[0]


@pytest.mark.django_db
def test_the_sample_holds_the_newest_customers_that_are_described() -> None:
    for number in range(3):
        Customer.objects.create(external_key=f"c{number}", attributes={"n": number})
    Customer.objects.create(external_key="undescribed")
    assert sample_attributes() == [{"n": 2}, {"n": 1}, {"n": 0}]
