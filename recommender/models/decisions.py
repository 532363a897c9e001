"""The decisions of policies, what each earned, and the orders that were taken back since."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from audience.models import Customer
from recommender.models.policies import Policy


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
