"""Sources, customers, identities and events."""

from collections.abc import Mapping, Sequence

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeOperators
from django.contrib.postgres.indexes import BrinIndex
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now

from audience.incoming import LARGEST


class Scope(models.TextChoices):
    """What a key may do."""

    EVENTS = "events", "Send events"
    FLAGS = "flags", "Read experiments and flags"
    DECIDE = "decide", "Ask for offers"
    READ = "read", "Read results and check numbers"
    METRICS = "metrics", "Read how the server does"


class Kind(models.TextChoices):
    """Where a key is kept, which says how far it can be trusted."""

    CLIENT = "client", "Client: public, in pages and apps"
    SERVER = "server", "Server: secret"
    ADMIN = "admin", "Admin: secret, for who runs this site"


# Whoever reads a page's source has its key.
SCOPES_OF: Mapping[Kind, Sequence[Scope]] = {
    Kind.CLIENT: (Scope.EVENTS, Scope.FLAGS),
    Kind.SERVER: (Scope.EVENTS, Scope.FLAGS, Scope.DECIDE, Scope.READ),
    Kind.ADMIN: tuple(Scope),
}


class Source(models.Model):
    """An application that sends events or asks for offers, and the hash of its key.

    The key itself is shown once, when it is made, and is not stored.
    """

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.SERVER)
    # Both are empty where nothing is sent over HTTP, as with imported files.
    key_prefix = models.CharField(max_length=16, editable=False, blank=True)
    key_hash = models.BinaryField(max_length=32, unique=True, null=True, editable=False)
    # While clients are given the new key, the old one goes on.
    old_key_hash = models.BinaryField(max_length=32, null=True, editable=False)
    old_key_until = models.DateTimeField(null=True, editable=False)
    scopes = ArrayField(
        models.CharField(max_length=16, choices=Scope.choices), default=list, blank=True
    )
    requests_per_second = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="What one web process takes from it; more is asked to come again. "
        "Empty: no limit.",
    )
    events_per_day = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="How many events it may send in a day (UTC). Empty: no limit.",
    )
    encryption_key = models.CharField(
        max_length=24,
        blank=True,
        editable=False,
        help_text="With which GrowthBook's libraries read what this source's key fetches.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(kind=kind.value)
                | models.Q(scopes__contained_by=[scope.value for scope in scopes]),
                name=f"{kind.value}_key_may_do_so_much",
                violation_error_message="A key of this kind can do no more than: "
                f"{', '.join(scope.label for scope in scopes)}.",
            )
            for kind, scopes in SCOPES_OF.items()
        ]

    def __str__(self) -> str:
        return self.name


class Customer(models.Model):
    """One person: the unit of randomisation.

    `merged_into` names the customer that this one turned out to be. Analyses count both as one.
    """

    external_key = models.CharField(max_length=255, unique=True)
    attributes = models.JSONField(default=dict, blank=True)
    merged_into = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(external_key=""), name="customer_key_is_not_empty"
            ),
            models.CheckConstraint(
                condition=~models.Q(merged_into=models.F("id")), name="merged_into_another_customer"
            ),
        ]

    def __str__(self) -> str:
        return self.external_key


class IdentityKind(models.TextChoices):
    """By what else a customer is known."""

    ANONYMOUS = "anonymous_id", "Anonymous id"
    EMAIL = "email", "E-mail address"
    DEVICE = "device", "Device"


class Identity(models.Model):
    """Another name of a customer, such as the anonymous id of a browser."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="identities")
    kind = models.CharField(max_length=16, choices=IdentityKind.choices)
    value = models.CharField(max_length=255)

    class Meta:
        verbose_name_plural = "identities"
        constraints = [
            models.UniqueConstraint(fields=["kind", "value"], name="one_customer_per_identity")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"


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
    """Something a customer did or that happened to them; never changed, stored once.

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
