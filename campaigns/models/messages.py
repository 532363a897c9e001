"""What a campaign sends, in steps, and what became of each message."""

from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now

from audience.models import Customer
from campaigns.models.campaigns import Campaign


class Step(models.Model):
    """One message of a campaign: how long after the one before, to whom, and what it says."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField(default=0)
    name = models.CharField(max_length=100)
    wait_minutes = models.PositiveIntegerField(
        "wait",
        default=0,
        help_text="Minutes after the message before; of the first, after joining.",
    )
    # A rule as an audience has one; who does not meet it skips this message and goes on.
    only_if = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "position"],
                name="one_step_per_position",
                deferrable=models.Deferrable.DEFERRED,
            )
        ]

    def __str__(self) -> str:
        return f"{self.campaign}: {self.name}"


class Message(models.Model):
    """What a step says in one language, as its author wrote it and as it was compiled.

    An e-mail's body is MJML, a webhook's is JSON; both with placeholders.
    """

    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="messages")
    language = models.CharField(
        max_length=16,
        blank=True,
        validators=[RegexValidator(r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z", "Such as en or pt-BR.")],
        help_text="Such as en or pt-BR. Empty: any other language.",
    )
    subject = models.CharField(max_length=200, blank=True)
    preheader = models.CharField(
        max_length=200, blank=True, help_text="What an inbox shows beside the subject."
    )
    body = models.TextField()
    text = models.TextField(
        blank=True, help_text="For readers without pictures. Empty: made of the body."
    )
    # The body as HTML with its placeholders still in it; made when it is saved.
    html = models.TextField(blank=True, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["step", "language"], name="one_message_per_step_and_language"
            )
        ]

    def __str__(self) -> str:
        return f"{self.step} ({self.language or 'any language'})"


class DeliveryState(models.TextChoices):
    """What became of a message."""

    QUEUED = "queued", "Waiting"
    LEASED = "leased", "Being sent"
    IN_DOUBT = "in_doubt", "In doubt"
    SENT = "sent", "Sent"
    SKIPPED = "skipped", "Not sent"
    FAILED = "failed", "Failed"
    BOUNCED = "bounced", "Bounced"


class Delivery(models.Model):
    """One message to one customer, sent, to be sent or not to be sent, and why.

    It is leased before anything leaves the machine. A lease that ran out means that nobody knows
    whether the message went: it is in doubt, and nothing sends it again by itself.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="deliveries")
    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="deliveries")
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="deliveries")
    # How often the customer entered the campaign before.
    occurrence = models.PositiveIntegerField(default=0)
    state = models.CharField(
        max_length=8, choices=DeliveryState.choices, default=DeliveryState.QUEUED
    )
    reason = models.CharField(max_length=200, blank=True)
    send_after = models.DateTimeField()
    leased_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    decision_id = models.UUIDField(null=True)
    offer = models.CharField(max_length=60, blank=True)
    # The name that the receiving side knows the message by.
    provider_id = models.CharField(max_length=200, blank=True)
    sent_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "step", "customer", "occurrence"],
                name="nobody_gets_a_message_twice",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="leased") | models.Q(leased_until__isnull=False),
                name="leased_delivery_has_an_end",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="sent") | models.Q(sent_at__isnull=False),
                name="sent_delivery_has_a_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["campaign", "send_after", "id"],
                condition=models.Q(state="queued"),
                name="delivery_due",
            ),
            models.Index(
                fields=["leased_until"],
                condition=models.Q(state="leased"),
                name="delivery_leased",
            ),
            models.Index(fields=["customer", "-sent_at"], name="delivery_of_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.step} to {self.customer_id}: {self.state}"
