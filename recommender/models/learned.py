"""What a policy remembers between its versions, and the tables that are made of these."""

from django.db import models


class PolicyLeaves(models.Model):
    """A version as a table for clients that evaluate conditions themselves (`leaves.py`).

    It outlives its version: what clients drew by it may come back days later, and is checked
    against it.
    """

    policy = models.ForeignKey(
        "recommender.Policy", on_delete=models.CASCADE, related_name="leaves"
    )
    version = models.PositiveIntegerField()
    table = models.JSONField()
    published_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "policy leaves"
        constraints = [
            models.UniqueConstraint(fields=["policy", "version"], name="one_table_per_version")
        ]

    def __str__(self) -> str:
        return f"{self.policy} v{self.version}"


class PolicyNetwork(models.Model):
    """What the network of a policy sees in customers; its sums are sums of that (`networks.py`)."""

    policy = models.OneToOneField(
        "recommender.Policy", primary_key=True, on_delete=models.CASCADE, related_name="network"
    )
    layers = models.BinaryField()
    learned_from = models.FloatField(help_text="Lessons remembered when it was trained.")
    trained_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.policy}: {self.learned_from:,.0f} lessons"


class OfferStatistics(models.Model):
    """The additive sums from which a policy learns one offer."""

    policy = models.ForeignKey(
        "recommender.Policy", on_delete=models.CASCADE, related_name="statistics"
    )
    offer = models.CharField(max_length=60)
    sums = models.BinaryField()
    # A policy that forgets lets the sums fade from then on.
    as_of = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "offer statistics"
        constraints = [
            models.UniqueConstraint(fields=["policy", "offer"], name="one_statistics_per_offer")
        ]

    def __str__(self) -> str:
        return f"{self.policy}: {self.offer}"
