"""Rankings, the versions of rankers that were trained for them, and the lists they made."""

from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.urls import reverse

from audience.models import Customer
from recommender.listing.lists import Rules, read_boosts
from recommender.rankers import RANKERS, ranker_choices

# What measures of customers with so many events are called, before the number of events.
BY_HISTORY = "ndcg@10 with a history of "


def default_weights() -> dict[str, float]:
    """Return what the usual events of a shop say about a customer's taste."""
    return {"Product Viewed": 1.0, "Product Added": 3.0, "Order Completed": 5.0}


def check_weights(weights: object) -> None:
    """Refuse what is no object of event names and numbers above 0.

    Raises:
        ValidationError: It is not.
    """
    if not isinstance(weights, dict) or not weights:
        raise ValidationError("Write events and what each counts, as an object.")
    for name, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or weight <= 0:
            raise ValidationError(f"{name!r} must count a number above 0, not {weight!r}.")


def check_boosts(boosts: object) -> None:
    """Refuse what is no list of boosts.

    Raises:
        ValidationError: It is none.
    """
    try:
        read_boosts(boosts)
    except ValueError as error:
        raise ValidationError(str(error)) from error


def check_tuned(tuned: object) -> None:
    """Refuse what is no object of rankers and their settings; a version checks the values.

    Raises:
        ValidationError: It is not.
    """
    if not isinstance(tuned, dict) or not all(
        kind in RANKERS and isinstance(each, dict) for kind, each in tuned.items()
    ):
        words = "Write rankers and the settings of each, as an object of objects."
        raise ValidationError({"tuned": words})


class Product(models.Model):
    """What events said of a product, each thing as the newest that says it (`catalogue.py`)."""

    key = models.CharField(max_length=255, unique=True)
    facts = models.JSONField(default=dict)
    said_at = models.DateTimeField()

    def __str__(self) -> str:
        return str(self.facts.get("name") or self.key)


class Ranking(models.Model):
    """Which products each customer is shown, best first: what is learned from, and how often."""

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=100)
    event_weights = models.JSONField(
        default=default_weights,
        validators=[check_weights],
        help_text="What each event counts. Events name their product as product_id or sku.",
    )
    window_days = models.PositiveIntegerField(
        default=180,
        validators=[MinValueValidator(1)],
        help_text="Older events are not learned from.",
    )
    events_per_customer = models.PositiveIntegerField(
        default=200,
        validators=[MinValueValidator(2)],
        help_text="Of each customer the newest so many are learned from.",
    )
    shown = models.PositiveSmallIntegerField(
        default=20,
        validators=[MinValueValidator(1), MaxValueValidator(500)],
        help_text="How many products each list has.",
    )
    refresh_hours = models.PositiveIntegerField(
        default=24,
        help_text="After so long the served ranker learns anew from newer events. 0: never.",
    )
    # By kind of ranker, what a search found to be better than its own settings.
    tuned = models.JSONField(
        "settings of rankers",
        default=dict,
        blank=True,
        help_text="By ranker, what it is trained with unless said otherwise, such as "
        '{"markov": {"lags": 10}}; manage.py tune_ranking writes it.',
    )
    # What the shop wants of every list; `lists.py` applies it.
    boosts = models.JSONField(
        default=list,
        blank=True,
        validators=[check_boosts],
        help_text="Products of a category, brand or variant have their score multiplied: "
        '[{"attribute": "brand", "value": "Acme", "factor": 2}]. By 2 the last of a list '
        "comes up to its best, by 0 it comes last.",
    )
    price_from = models.FloatField(
        "cheapest",
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="In the shop's own currency. Empty: no limit.",
    )
    price_to = models.FloatField(
        "dearest",
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="With either limit, products without a known price are left out.",
    )
    most_of_category = models.PositiveSmallIntegerField(
        "of a category at most",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="So many of each category in a list. Empty: no limit.",
    )
    diversity = models.FloatField(
        default=0.0,
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text="From 0, by score alone, to 1, as different from each other as can be.",
    )
    shows_sold_out = models.BooleanField(
        default=False, help_text="Whether products that are not in stock are shown too."
    )
    bought_days = models.PositiveSmallIntegerField(
        "not if bought within days",
        default=0,
        help_text="What a customer bought in so many days is not shown to them. 0: it is.",
    )
    met_days = models.PositiveSmallIntegerField(
        "not if met within days",
        default=0,
        help_text="Nor is what they did anything with that it learns from. 0: it is.",
    )
    # Until when what events say of products was taken in.
    products_read_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(price_from__isnull=True)
                | models.Q(price_to__isnull=True)
                | models.Q(price_from__lte=models.F("price_to")),
                name="cheapest_is_not_above_dearest",
                violation_error_message="The cheapest price must not be above the dearest.",
            ),
            models.CheckConstraint(
                condition=models.Q(diversity__gte=0, diversity__lte=1),
                name="diversity_is_a_share",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the page with its versions and examples."""
        return reverse("ranking", args=[self.key])

    @property
    def served_version(self) -> "RankerVersion | None":
        """The version whose lists are shown; None while there is none."""
        return self.versions.filter(status=Status.SERVED).first()

    def clean(self) -> None:
        """Refuse settings of rankers that are none, an empty list too."""
        check_tuned(self.tuned)

    def settings_of(self, kind: str, given: dict[str, Any]) -> dict[str, Any]:
        """Return what a ranker is trained with: what is given, then what a search found."""
        tuned: dict[str, Any] = self.tuned.get(kind, {})
        return tuned | given

    @property
    def rules(self) -> Rules:
        """What the shop wants of every list."""
        return Rules(
            boosts=read_boosts(self.boosts),
            price_from=self.price_from,
            price_to=self.price_to,
            most_of_category=self.most_of_category,
            diversity=self.diversity,
            shows_sold_out=self.shows_sold_out,
            bought_days=self.bought_days,
            met_days=self.met_days,
        )


class Status(models.TextChoices):
    """How far a version got."""

    WAITING = "waiting", "Waiting for a worker"
    TRAINING = "training", "In training"
    FAILED = "failed", "Failed"
    REJECTED = "rejected", "Rejected"
    ADMITTED = "admitted", "Admitted"
    SERVED = "served", "Served"
    RETIRED = "retired", "Retired"


class RankerVersion(models.Model):
    """One training of one ranker: where it comes from, what it is worth, and what it learned.

    `lineage` names the events it learned from, `metrics` what it and its rivals were worth in the
    test, `reasons` why it was admitted or not. `ranking/lifecycle.py` alone writes the status.
    """

    ranking = models.ForeignKey(Ranking, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    # A callable, so that a new ranker makes no migration.
    kind = models.CharField(max_length=30, choices=ranker_choices)
    hyperparameters = models.JSONField(default=dict, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    progress = models.FloatField(default=0.0)
    stage = models.CharField(max_length=200, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    leased_until = models.DateTimeField(null=True)
    requested_at = models.DateTimeField()
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    trained_at = models.DateTimeField(null=True)
    served_at = models.DateTimeField(null=True)
    lineage = models.JSONField(default=dict)
    metrics = models.JSONField(default=dict)
    reasons = models.JSONField(default=list)
    state = models.BinaryField(null=True)
    followers = models.BinaryField(null=True)
    # What it met just before it was trained (`profiles.py`).
    profile = models.JSONField(null=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["ranking", "number"], name="one_ranker_version_per_number"
            ),
            models.UniqueConstraint(
                fields=["ranking"],
                condition=models.Q(status="served"),
                name="one_served_version_per_ranking",
            ),
            models.CheckConstraint(
                condition=~models.Q(status__in=["served", "admitted"])
                | models.Q(state__isnull=False, followers__isnull=False),
                name="what_is_admitted_has_learned",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ranking} v{self.number} ({self.kind})"

    def find_listed(self, *, most: int = 20_000) -> set[str]:
        """Return the keys of all products that are in the lists of so many customers."""
        lists = self.picks.order_by("pk").values_list("items", flat=True)[:most]
        return {item for items in lists.iterator() for item in items}

    @property
    def by_history(self) -> list[tuple[str, float]]:
        """How good it was in its trial for newcomers and regulars: NDCG@10 by events known."""
        means: dict[str, float] = self.metrics.get("this version", {})
        return [
            (name.removeprefix(BY_HISTORY), mean)
            for name, mean in means.items()
            if name.startswith(BY_HISTORY)
        ]

    @property
    def recipe(self) -> tuple[str, dict[str, Any]]:
        """What it would be trained by again."""
        return self.kind, self.hyperparameters


class TopPicks(models.Model):
    """What one version shows one customer, best first; without a customer, what newcomers see.

    Rejected versions have lists of a few customers, to be looked at.
    """

    version = models.ForeignKey(
        RankerVersion, on_delete=models.CASCADE, related_name="picks", db_index=False
    )
    customer = models.ForeignKey(Customer, null=True, on_delete=models.CASCADE, related_name="+")
    items = ArrayField(models.CharField(max_length=255))
    scores = ArrayField(models.FloatField())
    # Why its first product comes first, for a few customers (`reasons.py`); else null.
    reasons = models.JSONField(null=True)

    class Meta:
        verbose_name_plural = "top picks"
        constraints = [
            models.UniqueConstraint(
                fields=["version", "customer"],
                nulls_distinct=False,
                name="one_list_per_customer_and_version",
            )
        ]

    def __str__(self) -> str:
        return ", ".join(self.items)


class RankerCheck(models.Model):
    """What was found of a served version at one time (`monitoring.py`)."""

    version = models.ForeignKey(RankerVersion, on_delete=models.CASCADE, related_name="checks")
    checked_at = models.DateTimeField()
    # Each with a name, a value, words, and whether it is an alarm.
    findings = models.JSONField(default=list)
    alarms = models.JSONField(default=list)

    class Meta:
        ordering = ["-checked_at", "-pk"]
        indexes = [models.Index(fields=["version", "-checked_at"], name="newest_check_of_version")]

    def __str__(self) -> str:
        return f"{self.version} at {self.checked_at}"
