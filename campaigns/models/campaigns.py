"""Campaigns, their offers and their reviews."""

from datetime import time

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.urls import reverse

from audience.models import Audience
from campaigns.models.offers import Offer, Placement
from experiments.models import Experiment
from recommender.models import Policy


class Status(models.TextChoices):
    """Where a campaign is in its life."""

    DRAFT = "draft", "Draft"
    IN_REVIEW = "in_review", "In review"
    APPROVED = "approved", "Approved"
    SCHEDULED = "scheduled", "Scheduled"
    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    FINISHED = "finished", "Finished"


# Until it is started for the first time.
UNSTARTED = (Status.DRAFT, Status.IN_REVIEW, Status.APPROVED, Status.SCHEDULED)
LIVE = (Status.RUNNING, Status.PAUSED)


class Pacing(models.TextChoices):
    """How fast a budget may be spent."""

    FAST = "fast", "As fast as offers are asked for"
    EVEN = "even", "Evenly, until the campaign ends"
    DUAL = "dual", "Where it earns most, until the campaign ends"


class Enrolment(models.TextChoices):
    """When customers of the audience are sent a campaign's first message."""

    ONCE = "once", "Once, to everybody who is in the audience at the start"
    CONTINUOUS = "continuous", "As soon as somebody joins the audience"


class Campaign(models.Model):
    """Offers in a placement, chosen by a policy, proven by an experiment with a hold-out."""

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=100)
    placement = models.ForeignKey(Placement, on_delete=models.PROTECT, related_name="campaigns")
    audience = models.ForeignKey(
        Audience,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="campaigns",
        help_text="Whom it is for. Empty: everybody.",
    )
    offers = models.ManyToManyField(Offer, through="CampaignOffer", related_name="campaigns")
    experiment = models.OneToOneField(
        Experiment, on_delete=models.PROTECT, related_name="+", editable=False
    )
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="+", editable=False)
    status = models.CharField(
        max_length=10, choices=Status.choices, default=Status.DRAFT, editable=False
    )
    priority = models.PositiveSmallIntegerField(
        default=100, help_text="Among the campaigns of a placement, the lowest number decides."
    )
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    hold_minutes = models.PositiveIntegerField(
        default=30, help_text="A customer keeps an offer for this long."
    )
    fallback = models.ForeignKey(
        Offer,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="What is shown where no offer may be; its own limits do not count.",
    )
    budget_cents = models.PositiveBigIntegerField(
        "budget in cents",
        null=True,
        blank=True,
        help_text="What the offers given out may cost together. Empty: no limit.",
    )
    budget_pacing = models.CharField(
        "the budget is spent",
        max_length=4,
        choices=Pacing.choices,
        default=Pacing.FAST,
        help_text="Evenly: what is not spent in time is spent later, and nothing before its time. "
        "Where it earns most: offers that cost something, or are limited in total, go to those "
        "with whom they earn most.",
    )
    # What follows is for what is sent.
    purpose = models.SlugField(
        max_length=60,
        default="marketing",
        help_text="What customers agreed to be written to about.",
    )
    enrolment = models.CharField(
        "sent",
        max_length=10,
        choices=Enrolment.choices,
        default=Enrolment.ONCE,
    )
    # When the audience was last gone through for new receivers.
    enrolled_at = models.DateTimeField(null=True, editable=False)
    again_after_days = models.PositiveSmallIntegerField(
        "again after days",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Who is in the audience then gets it again. Empty: nobody gets it twice.",
    )
    send_time = models.TimeField(
        "time of day",
        null=True,
        blank=True,
        help_text="Of each customer's own clock. Empty: as soon as it may be.",
    )
    quiet_from = models.TimeField(null=True, blank=True, default=time(21))
    quiet_until = models.TimeField(null=True, blank=True, default=time(8))
    stops_on_goal = models.BooleanField(
        default=True, help_text="Who reached the goal gets no further message."
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["priority", "id"]
        permissions = [("approve_campaign", "Can approve what somebody else asks for")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(starts_at__isnull=True)
                | models.Q(ends_at__isnull=True)
                | models.Q(starts_at__lt=models.F("ends_at")),
                name="campaign_starts_before_it_ends",
                violation_error_message="The end must come after the start.",
            ),
            models.CheckConstraint(
                condition=models.Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | (
                    models.Q(quiet_from__isnull=False, quiet_until__isnull=False)
                    & ~models.Q(quiet_from=models.F("quiet_until"))
                ),
                name="quiet_hours_begin_and_end",
                violation_error_message="Quiet hours need a beginning and another end.",
            ),
            models.CheckConstraint(
                condition=models.Q(budget_pacing="fast")
                | models.Q(budget_cents__isnull=False, ends_at__isnull=False)
                | models.Q(budget_pacing="dual", ends_at__isnull=False),
                name="evenly_spent_budget_has_an_end",
                violation_error_message="To last until the campaign's end it needs one, and to be "
                "spent evenly a budget.",
            ),
            models.CheckConstraint(
                condition=~models.Q(status="scheduled") | models.Q(starts_at__isnull=False),
                name="scheduled_campaign_has_a_start",
                violation_error_message="Say when it starts.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the address of the report, or of the set-up before there is any."""
        route = "campaign-setup" if self.status in UNSTARTED else "campaign-report"
        return reverse(route, args=[self.key])

    @property
    def budget(self) -> str:
        """The budget in words, or nothing."""
        if self.budget_cents is None:
            return ""
        how = {Pacing.EVEN: ", spent evenly", Pacing.DUAL: ", spent where it earns most"}
        return f"{self.say_money(self.budget_cents)}{how.get(Pacing(self.budget_pacing), '')}"

    def say_money(self, cents: int) -> str:
        """Say what its offers cost together, in their currency if it is one."""
        costly = self.offers.filter(cost_cents__gt=0)
        currencies = set(costly.values_list("currency", flat=True))
        said = f"{cents / 100:,.2f}"
        return f"{said} {currencies.pop()}" if len(currencies) == 1 else said


class CampaignOffer(models.Model):
    """An offer's part in a campaign."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="choices")
    offer = models.ForeignKey(Offer, on_delete=models.PROTECT, related_name="+")
    baseline_weight = models.PositiveIntegerField(
        default=1,
        validators=[MinValueValidator(0)],
        help_text="Its share of the control arm, relative to the other offers.",
    )
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["campaign", "offer"], name="offer_once_per_campaign")
        ]

    def __str__(self) -> str:
        return str(self.offer)


class CampaignReview(models.Model):
    """Somebody asks for a campaign to be let out, and somebody else answers."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="reviews")
    # Of the campaign as it was when it was asked; changed, it needs another review.
    digest = models.CharField(max_length=64)
    # What the reviewer sees side by side with what was approved before.
    document = models.JSONField()
    # How many it was for; none where that is everybody who comes.
    audience_size = models.PositiveBigIntegerField(null=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    requested_at = models.DateTimeField()
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    answered_at = models.DateTimeField(null=True)
    is_approved = models.BooleanField(default=False)
    note = models.TextField(blank=True)

    class Meta:
        ordering = ["-requested_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(answered_by__isnull=True)
                | ~models.Q(answered_by=models.F("requested_by")),
                name="nobody_approves_their_own_campaign",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    answered_by__isnull=True, answered_at__isnull=True, is_approved=False
                )
                | models.Q(answered_by__isnull=False, answered_at__isnull=False),
                name="campaign_review_is_answered_by_somebody",
            ),
            models.UniqueConstraint(
                fields=["campaign"],
                condition=models.Q(answered_at__isnull=True),
                name="one_open_review_per_campaign",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.campaign}, asked by {self.requested_by}"
