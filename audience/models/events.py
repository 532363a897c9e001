"""What was received, taken and refused, and where it lies in the lake."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now

from audience.incoming import LARGEST
from audience.models.customers import Customer
from audience.models.sources import Source


class ReceivedMessage(models.Model):
    """A sender's message id that was accepted: the same message is never stored twice.

    Events are partitioned by time, and a partitioned table can only be unique together with its
    time; a retry may come with another time. So the rule lives in a table of its own.
    """

    pk = models.CompositePrimaryKey("source_id", "message_id")
    # Sources are revoked and never deleted, and a look at theirs for each id would cost as much as
    # all else about it.
    source = models.ForeignKey(
        Source, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    message_id = models.CharField(max_length=100)
    received_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.message_id


class Event(models.Model):
    """Something a customer did or that happened to them; stored once and never changed.

    But for the name of an order that counted too often, which a `RenamedEvent` tells of.

    The table is partitioned by month of `occurred_at` (see `partitions.py`).
    """

    pk = models.CompositePrimaryKey("occurred_at", "id")
    id = models.BigIntegerField(editable=False)
    occurred_at = models.DateTimeField()
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="+", db_index=False)
    message_id = models.CharField(max_length=100)
    name = models.CharField(max_length=255)
    value = models.FloatField(null=True)
    properties = models.JSONField(default=dict)
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            # Nor NaN, which sorts above every number here: one such value, or one too large to be
            # squared, would spoil each mean that it goes into.
            models.CheckConstraint(
                condition=models.Q(value__gt=-LARGEST, value__lt=LARGEST),
                name="event_value_is_below_a_quadrillion",
            )
        ]
        indexes = [
            models.Index(fields=["customer", "name", "occurred_at"], name="event_of_customer"),
            # Events are stored in the order of their receipt, which the lake reads them by.
            BrinIndex(fields=["received_at"], name="event_by_receipt", autosummarize=True),
        ]

    def __str__(self) -> str:
        return f"{self.name} at {self.occurred_at}"


class RenamedEvent(models.Model):
    """An event that counted too often and stands under another name since (`doubled_orders.py`).

    Whoever holds a copy of events puts it right by this. It is deleted when nobody can need it.
    """

    event_id = models.BigIntegerField()
    # By which the file of the lake is found that may hold it.
    event_received_at = models.DateTimeField()
    is_in_lake = models.BooleanField(default=False)
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(
                fields=["event_received_at"],
                condition=models.Q(is_in_lake=False),
                name="renamed_and_not_in_lake",
            )
        ]

    def __str__(self) -> str:
        return str(self.event_id)


class RejectedEvent(models.Model):
    """An event of a batch that could not be taken, with the reason, for its sender to see."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="+")
    received_at = models.DateTimeField(db_default=Now(), db_index=True)
    reason = models.TextField()
    payload = models.TextField()

    def __str__(self) -> str:
        return self.reason


class LakeRange(models.Model):
    """What was received in a stretch of time, all of it, as one Parquet file of the lake.

    Only a file that a row names is read; see `lake.py`.
    """

    received_from = models.DateTimeField()
    received_until = models.DateTimeField()
    path = models.CharField(max_length=100, unique=True)
    rows = models.PositiveBigIntegerField()
    # What is asked from a later time on needs none of this file.
    last_occurred_at = models.DateTimeField()
    written_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(received_until__gt=models.F("received_from")),
                name="lake_range_takes_time",
            ),
            ExclusionConstraint(
                name="lake_has_each_event_once",
                expressions=[
                    (
                        models.Func(
                            "received_from",
                            "received_until",
                            function="tstzrange",
                            output_field=DateTimeRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    )
                ],
            ),
        ]

    def __str__(self) -> str:
        return self.path
