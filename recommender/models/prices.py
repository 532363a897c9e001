"""What a policy's scarce things cost, as it was learned."""

from django.core.validators import MinValueValidator
from django.db import models


class PolicyPrice(models.Model):
    """What each unit of something scarce has to earn, and how it was used up until then.

    It moves in the transaction that publishes the version which charges it (`charging.py`).
    """

    policy = models.ForeignKey(
        "recommender.Policy", on_delete=models.CASCADE, related_name="prices"
    )
    # The name of the counter that tells how much is used.
    resource = models.CharField(max_length=80)
    # How many units each offer uses when it is given out.
    uses = models.JSONField()
    # In units of reward.
    price = models.FloatField(default=0.0, validators=[MinValueValidator(0)])
    used = models.PositiveBigIntegerField()
    priced_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["policy", "resource"], name="one_price_per_policy_and_resource"
            ),
            models.CheckConstraint(
                condition=models.Q(price__gte=0), name="price_is_never_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.policy}: {self.resource} at {self.price:g}"
