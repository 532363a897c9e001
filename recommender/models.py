"""Policies and their versions, the decisions they made and what those earned."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now

from audience.models import Customer
from recommender.bandits import bandit_choices
from recommender.challenger_models import Challenger, PublishingHold
from recommender.delays import MOST_LANDMARKS
from recommender.features import FeatureSpec
from recommender.learned_models import OfferStatistics, PolicyLeaves, PolicyNetwork
from recommender.offer_facts import Facts
from recommender.price_models import PolicyPrice
from recommender.ranking.models import Product, RankerCheck, RankerVersion, Ranking, TopPicks

# Django looks for an app's models here.
__all__ = [
    "Challenger",
    "Decision",
    "OfferStatistics",
    "Policy",
    "PolicyEvaluation",
    "PolicyLeaves",
    "PolicyNetwork",
    "PolicyPrice",
    "PolicyQuerySet",
    "PolicyVersion",
    "Product",
    "PublishingHold",
    "RankerCheck",
    "RankerVersion",
    "Ranking",
    "Reversal",
    "Reward",
    "RewardKind",
    "TopPicks",
    "no_features",
]


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


class Decision(models.Model):
    """One logged choice: who, where, what (or nothing), and with which probability.

    Append-only. The id is a UUID of version 7, so it sorts by time, and the table is partitioned
    by month on it. `weights` belong to `eligible`, place by place, and an empty key stands for no
    offer; both are empty where nothing was drawn, or where it was drawn elsewhere and the other
    weights are not known. A draw can be replayed from the row alone (`campaigns/deciding/draw.py`).
    `campaign` and `arm` are keys of the layer above.
    """

    id = models.UUIDField(primary_key=True)
    decided_at = models.DateTimeField()
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    campaign = models.CharField(max_length=60)
    placement = models.CharField(max_length=60)
    # In a slate of several offers, each of which is a decision of its own; the first is 0.
    position = models.PositiveSmallIntegerField(db_default=0)
    arm = models.CharField(max_length=40)
    policy = models.ForeignKey(
        Policy, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    policy_version = models.PositiveIntegerField(null=True)
    offer = models.CharField(max_length=60, null=True)  # noqa: DJ001 - no offer is not an empty key
    propensity = models.FloatField()
    eligible = ArrayField(models.CharField(max_length=60))
    weights = ArrayField(models.FloatField())
    features = ArrayField(models.FloatField())
    reasons = models.JSONField(default=list)
    held_back = models.BooleanField(default=False)
    # What the offer cost when it was given out, in its currency.
    cost_cents = models.PositiveIntegerField(db_default=0)
    # The customer's products that came with the offer, best first, and the id of the version of a
    # ranker that they, or the offer as a product, are of.
    products = ArrayField(models.CharField(max_length=255), db_default=[])
    ranker_version = models.BigIntegerField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["customer", "campaign", "-decided_at"], name="decision_of_customer"
            ),
            models.Index(
                fields=["campaign", "id"],
                condition=models.Q(held_back=True),
                name="decision_held_back",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(propensity__gt=0, propensity__lte=1),
                name="propensity_is_a_probability",
            )
        ]

    def __str__(self) -> str:
        return f"{self.offer or 'no offer'} ({self.propensity:.2%})"


class Reward(models.Model):
    """What a decision earned in its window: pending until the window has passed, settled once.

    While it is pending, a lesson's `value` is what it is expected to come to, from what had come by
    the last of the policy's landmarks; `stage` says how many of these have passed. `cost` was taken
    off it, where the policy is rewarded by what is left.
    """

    decision = models.OneToOneField(
        Decision, primary_key=True, on_delete=models.PROTECT, related_name="reward"
    )
    policy = models.ForeignKey(Policy, on_delete=models.CASCADE, related_name="+", db_index=False)
    due_at = models.DateTimeField()
    value = models.FloatField(null=True)
    cost = models.FloatField(db_default=0.0)
    settled_at = models.DateTimeField(null=True)
    stage = models.PositiveSmallIntegerField(db_default=0)
    # Whether its value is in the policy's sums, and since when.
    is_lesson = models.BooleanField(db_default=False)
    learned_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["policy", "stage", "due_at"],
                condition=models.Q(settled_at__isnull=True),
                name="reward_pending",
            ),
            models.Index(
                fields=["policy", "settled_at"],
                condition=(
                    models.Q(value__lt=-models.F("cost")) | models.Q(value__gt=-models.F("cost"))
                )
                & models.Q(settled_at__isnull=False),
                name="reward_earned",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(value__isnull=False)
                | models.Q(settled_at__isnull=True, is_lesson=False),
                name="value_when_settled_or_learned",
            ),
            models.CheckConstraint(
                condition=models.Q(is_lesson=False) | models.Q(learned_at__isnull=False),
                name="lessons_were_learned_once",
            ),
        ]

    def __str__(self) -> str:
        return "pending" if self.value is None else f"{self.value:g}"


class Reversal(models.Model):
    """An order of a customer that was taken back: what it taught a policy is looked at again."""

    policy = models.ForeignKey(Policy, on_delete=models.CASCADE, related_name="+")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return f"{self.policy}: {self.customer}"


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
