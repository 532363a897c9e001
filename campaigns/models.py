"""Campaigns, their offers and the placements in which they appear."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.urls import reverse

from experiments.models import Experiment
from recommender.models import Policy


class Status(models.TextChoices):
    """Where a campaign is in its life."""

    DRAFT = "draft", "Draft"
    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    FINISHED = "finished", "Finished"


class Placement(models.Model):
    """Where an offer can appear."""

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class Uncounted(models.TextChoices):
    """What to do with a capped offer while nobody can count."""

    SHOW = "show", "Show it all the same"
    HIDE = "hide", "Do not show it"


class Offer(models.Model):
    """What can be shown or sent."""

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=100)
    headline = models.CharField(max_length=200, blank=True)
    text = models.TextField(blank=True)
    link = models.URLField(blank=True)
    value_cents = models.PositiveIntegerField(
        default=0, help_text="What taking it is worth to us, in cents."
    )
    cost_cents = models.PositiveIntegerField(default=0, help_text="What it costs us, in cents.")
    currency = models.CharField(max_length=3, default="EUR")
    is_active = models.BooleanField(default=True)
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    cap_total = models.PositiveIntegerField(
        "given out at most",
        null=True,
        blank=True,
        help_text="To all customers, in all campaigns. Empty: no limit.",
    )
    cap_per_customer = models.PositiveIntegerField(
        "to one customer at most",
        null=True,
        blank=True,
        help_text="In all campaigns, within the days below. Empty: no limit.",
    )
    cap_days = models.PositiveSmallIntegerField(
        "within days", default=30, validators=[MinValueValidator(1), MaxValueValidator(365)]
    )
    uncounted = models.CharField(
        "while it cannot be counted",
        max_length=4,
        choices=Uncounted.choices,
        default=Uncounted.HIDE,
        help_text="If the database cannot be reached: whether a limit may be overrun.",
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(starts_at__isnull=True)
                | models.Q(ends_at__isnull=True)
                | models.Q(starts_at__lt=models.F("ends_at")),
                name="offer_starts_before_it_ends",
                violation_error_message="The end must come after the start.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Campaign(models.Model):
    """Offers in a placement, chosen by a policy, proven by an experiment with a hold-out."""

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=100)
    placement = models.ForeignKey(Placement, on_delete=models.PROTECT, related_name="campaigns")
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
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["priority", "id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(starts_at__isnull=True)
                | models.Q(ends_at__isnull=True)
                | models.Q(starts_at__lt=models.F("ends_at")),
                name="campaign_starts_before_it_ends",
                violation_error_message="The end must come after the start.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the address of the report."""
        return reverse("campaign-report", args=[self.key])


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


class Counter(models.Model):
    """How much of a limit is used up: offers given out, or cents spent.

    It is counted in the transaction that logs the decision, so it is right whatever breaks.
    """

    name = models.CharField(max_length=80, primary_key=True)
    used = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.used}"
