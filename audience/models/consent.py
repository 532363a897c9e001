"""What customers agreed to, whom nothing is sent to, and proof of erasure."""

from django.db import models
from django.db.models.functions import Now

from audience.models.customers import Customer


class Channel(models.TextChoices):
    """By what a customer can be reached."""

    EMAIL = "email", "E-mail"
    WEBHOOK = "webhook", "Webhook"


class ConsentState(models.TextChoices):
    """What a customer said to being written to."""

    PENDING = "pending", "Asked, not confirmed"
    OPTED_IN = "opted_in", "Agreed"
    OPTED_OUT = "opted_out", "Declined"


class Consent(models.Model):
    """What a customer last said to one channel and purpose."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="consents")
    channel = models.CharField(max_length=16, choices=Channel.choices)
    purpose = models.SlugField(max_length=60, default="marketing")
    state = models.CharField(max_length=9, choices=ConsentState.choices)
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "channel", "purpose"], name="one_consent_per_channel_purpose"
            )
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.purpose}: {self.state}"


class ConsentChange(models.Model):
    """One thing that a customer said, and how we know; never changed."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="+")
    channel = models.CharField(max_length=16, choices=Channel.choices)
    purpose = models.SlugField(max_length=60)
    state = models.CharField(max_length=9, choices=ConsentState.choices)
    source = models.CharField(max_length=60)  # such as "one-click", "form", "import"
    evidence = models.JSONField(default=dict)
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["customer", "changed_at"], name="consent_of_customer")]

    def __str__(self) -> str:
        return f"{self.channel} {self.purpose}: {self.state} by {self.source}"


class SuppressionReason(models.TextChoices):
    """Why an address is never written to again."""

    BOUNCE = "bounce", "It does not exist"
    COMPLAINT = "complaint", "Its owner complained"
    UNSUBSCRIBED = "unsubscribed", "Its owner unsubscribed, and was then erased"
    MANUAL = "manual", "By hand"


class Suppression(models.Model):
    """An address that is never written to again, as a keyed hash that survives its owner."""

    channel = models.CharField(max_length=16, choices=Channel.choices)
    address_hash = models.BinaryField(max_length=32)
    reason = models.CharField(max_length=12, choices=SuppressionReason.choices)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "address_hash"], name="one_suppression_per_address"
            )
        ]

    def __str__(self) -> str:
        return f"{self.channel}: {self.reason}"


class Erasure(models.Model):
    """The wish to erase a customer, and the proof that it was done: how many rows of which table.

    Until then `customer_id` says whom, and no more after it. `left` is what a search of the whole
    database still found of the person, by column; it is empty where nothing is left, and null
    until it was searched. Meanwhile `unsearched` holds the names to search for, so that a worker
    that dies leaves what another can finish.
    """

    key_hash = models.BinaryField(max_length=32)
    # No foreign key: who is gone is not to be held by the proof.
    customer_id = models.BigIntegerField(null=True)
    removed = models.JSONField(default=dict)  # rows, by table
    left = models.JSONField(null=True)
    unsearched = models.JSONField(null=True)
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField(db_default=Now())
    erased_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(customer_id__isnull=False, erased_at__isnull=True)
                | models.Q(customer_id__isnull=True, erased_at__isnull=False),
                name="erasure_names_nobody_once_done",
            ),
            models.CheckConstraint(
                condition=models.Q(unsearched__isnull=True)
                | models.Q(erased_at__isnull=False, left__isnull=True),
                name="erasure_keeps_names_only_to_search",
            ),
            models.UniqueConstraint(fields=["customer_id"], name="one_open_erasure_per_customer"),
        ]

    def __str__(self) -> str:
        return "Not erased yet" if self.erased_at is None else f"Erased at {self.erased_at}"
