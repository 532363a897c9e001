"""Policies, their versions, and what they would have earned by the log."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now

from recommender.bandits import bandit_choices
from recommender.delays import MOST_LANDMARKS
from recommender.models.challengers import PublishingHold
from recommender.models.rankings import Ranking
from recommender.weighing.features import FeatureSpec
from recommender.weighing.offer_facts import Facts


def no_features() -> dict[str, Any]:
    """Return the specification of a policy that treats all customers alike."""
    return FeatureSpec(()).to_json()


class RewardKind(models.TextChoices):
    """How the events in a decision's window make its reward."""

    ANY = "any", "1 if it happened, else 0"
    COUNT = "count", "How often it happened"
    SUM = "sum", "The sum of its values"


class PolicyQuerySet(models.QuerySet["Policy"]):
    """What policies can be fetched with."""

    def with_newest_version(self) -> "PolicyQuerySet":
        """Add number and size of the newest version, without its odds."""
        newest = PolicyVersion.objects.filter(policy=models.OuterRef("pk")).order_by("-number")
        return self.annotate(
            newest_number=models.Subquery(newest.values("number")[:1]),
            newest_learned_from=models.Subquery(newest.values("learned_from")[:1]),
        )

    def with_hold(self) -> "PolicyQuerySet":
        """Add why nothing is published, or None."""
        held = PublishingHold.objects.filter(policy=models.OuterRef("pk"), released_at=None)
        return self.annotate(held_because=models.Subquery(held.values("reason")[:1]))


class Policy(models.Model):
    """A rule that picks an offer and learns from what its decisions earned."""

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=100)
    # A callable, so that a new bandit makes no migration.
    kind = models.CharField(max_length=30, choices=bandit_choices)
    hyperparameters = models.JSONField(default=dict, blank=True)
    features = models.JSONField(
        default=no_features, blank=True, help_text="Which attributes it looks at, and how."
    )
    offers = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    # What is known of each offer before anybody sees it, by its key (`offer_facts.py`).
    offer_facts = models.JSONField(default=dict, editable=False)
    reward_event = models.CharField(max_length=255)
    reward_kind = models.CharField(
        max_length=10, choices=RewardKind.choices, default=RewardKind.ANY
    )
    reward_window_seconds = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    margin = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.0001), MaxValueValidator(1)],
        help_text="The share of what is ordered that is left. A decision is then rewarded by that "
        "much of it, less what its offer cost. Empty: by the goal as it is.",
    )
    floor = models.FloatField(
        default=0.01,
        validators=[MinValueValidator(0.0001), MaxValueValidator(0.2)],
        help_text="The least probability of an eligible offer at the beginning. It falls as the "
        "policy learns, to one in 10,000.",
    )
    held_back_share = models.FloatField(
        default=0.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(0.9)],
        help_text="The share of customers it never learns from, so that it can be judged on them.",
    )
    expires_after_hours = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="A version older than this decides no more; everybody gets what the control "
        "gets until there is a newer one. Empty: it never expires.",
    )

    # Draws each customer's products of this ranking instead of offers, and learns nothing itself.
    ranking = models.ForeignKey(
        Ranking,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name="products of",
        help_text="Each customer is shown their own products of this ranking. Empty: offers.",
    )
    places = models.PositiveSmallIntegerField(
        default=4,
        validators=[MinValueValidator(1), MaxValueValidator(20)],
        help_text="How many products a message shows, and a page at most.",
    )
    temperature = models.FloatField(
        default=0.1,
        validators=[MinValueValidator(0.01), MaxValueValidator(10)],
        help_text="How much chance there is in the order. 0.1: hardly any, 1: a lot, 10: nearly "
        "all products are as likely.",
    )

    landmarks = ArrayField(
        models.PositiveIntegerField(validators=[MinValueValidator(1)]),
        default=list,
        blank=True,
        size=MOST_LANDMARKS,
        help_text="Ages in seconds at which a decision teaches before its window has passed. "
        "Empty: an hour, a day and a week. The window's own length: only at its end.",
    )
    # How much of a reward has arrived by which age (`arrivals.py`).
    delays = models.JSONField(null=True, editable=False)
    delays_fitted_at = models.DateTimeField(null=True, editable=False)

    # The version to decide by, instead of the newest (`pinning.py`).
    pinned_version = models.PositiveIntegerField(null=True, editable=False)
    # What came of holding the sums against the log (`rebuilding.py`).
    sums_checked_at = models.DateTimeField(null=True, editable=False)
    sums_problem = models.CharField(max_length=200, blank=True, editable=False)
    sums_are_wrong = models.BooleanField(default=False, editable=False)

    objects = PolicyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "policies"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(reward_window_seconds__gt=0), name="reward_window_is_positive"
            ),
            models.CheckConstraint(
                condition=models.Q(floor__gt=0, floor__lte=0.2), name="floor_is_small_and_positive"
            ),
            models.CheckConstraint(
                condition=models.Q(held_back_share__gte=0, held_back_share__lt=1),
                name="held_back_share_below_one",
            ),
            models.CheckConstraint(
                condition=models.Q(temperature__gt=0), name="temperature_is_positive"
            ),
            models.CheckConstraint(
                condition=models.Q(margin=None)
                | models.Q(reward_kind="sum", margin__gt=0, margin__lte=1),
                name="margin_is_a_share_of_a_sum",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def known_facts(self) -> list[Facts]:
        """What is known of each offer, in their order."""
        return [self.offer_facts.get(offer, {}) for offer in self.offers]


class PolicyVersion(models.Model):
    """What a policy had learned at one time, as the arrays from which the web samples."""

    policy = models.ForeignKey(Policy, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    odds = models.BinaryField()
    learned_from = models.PositiveBigIntegerField(help_text="Decisions learned from, in all.")
    published_at = models.DateTimeField()

    class Meta:
        ordering = ["-number"]
        permissions = [("pin_policyversion", "Can choose the version that decides")]
        constraints = [
            models.UniqueConstraint(fields=["policy", "number"], name="one_version_per_number")
        ]

    def __str__(self) -> str:
        return f"{self.policy} v{self.number}"


class PolicyEvaluation(models.Model):
    """What a policy would have earned, estimated from logged decisions."""

    campaign = models.CharField(max_length=60, db_index=True)
    computed_at = models.DateTimeField(db_default=Now())
    population = models.CharField(max_length=200)
    rows = models.JSONField()
    # Whether offers came as often as their logged propensities say; empty where nobody looked.
    integrity = models.JSONField(default=dict)
    # What learning has cost a decision so far, and of how many; empty where nobody looked.
    learning_cost = models.JSONField(default=dict)

    class Meta:
        get_latest_by = "computed_at"

    def __str__(self) -> str:
        return f"{self.campaign}: {self.population}"
