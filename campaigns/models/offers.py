"""Offers, what they say in each placement and language, and the placements."""

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from audience.models import Audience, Channel
from recommender.models import Ranking
from recommender.weighing.offer_facts import check_facts

# By what an offer reaches a customer who comes by oneself.
ONSITE = "onsite"


def name_channels() -> list[tuple[str, str]]:
    """Return what a placement can belong to: the site, or a channel."""
    return [(ONSITE, "On the site"), *Channel.choices]


class Placement(models.Model):
    """Where an offer can appear: on the site, or in the messages of a channel."""

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=100)
    channel = models.CharField(
        max_length=16,
        choices=name_channels,
        default=ONSITE,
        help_text="On the site a client asks for offers; elsewhere they are sent.",
    )

    def __str__(self) -> str:
        return self.name

    @property
    def is_sent(self) -> bool:
        """Whether what appears there is sent instead of asked for."""
        return self.channel != ONSITE


def validate_facts(value: Any) -> None:
    """Refuse what are no facts.

    Raises:
        ValidationError: In words for whoever wrote them.
    """
    try:
        check_facts(value)
    except ValueError as error:
        raise ValidationError(str(error)) from error


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
    # By name, numbers and words (`offers/knowledge.py` says how they come to policies).
    facts = models.JSONField(default=dict, blank=True, validators=[validate_facts])
    is_nothing = models.BooleanField(
        "shows nothing",
        default=False,
        editable=False,
        help_text="It stands for no offer, so that a policy can learn where that earns more.",
    )
    is_active = models.BooleanField(default=True)
    priority = models.PositiveSmallIntegerField(
        default=100,
        help_text="Among a campaign's offers that a customer may get, those with the lowest number "
        "are chosen from; the others wait until none of these is left.",
    )
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
    audience = models.ForeignKey(
        Audience,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="offers",
        verbose_name="only for",
        help_text="Customers who may get it. Empty: everybody.",
    )
    ranking = models.ForeignKey(
        Ranking,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name="products of",
        help_text="Each customer gets the offer with their own products of this ranking.",
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
            ),
            models.CheckConstraint(
                condition=models.Q(is_nothing=False)
                | models.Q(headline="", text="", link="", cost_cents=0, ranking=None),
                name="nothing_says_and_costs_nothing",
                violation_error_message="What stands for no offer says and costs nothing.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def can_be_shown(self, now: datetime) -> bool:
        """Tell whether it is switched on and not over; its start may still be to come."""
        return self.is_active and (self.ends_at is None or self.ends_at > now)


class OfferContent(models.Model):
    """What an offer says in one placement and language; what is empty, the offer itself says."""

    offer = models.ForeignKey(Offer, on_delete=models.CASCADE, related_name="contents")
    placement = models.ForeignKey(Placement, on_delete=models.CASCADE, related_name="+")
    language = models.CharField(
        max_length=16,
        blank=True,
        validators=[RegexValidator(r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z", "Such as en or pt-BR.")],
        help_text="Such as en or pt-BR. Empty: any other language.",
    )
    headline = models.CharField(max_length=200, blank=True)
    text = models.TextField(blank=True)
    link = models.URLField(blank=True)
    image = models.URLField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["offer", "placement", "language"],
                name="one_content_per_placement_and_language",
            )
        ]

    def __str__(self) -> str:
        return f"{self.offer} in {self.placement} ({self.language or 'any language'})"
