"""Named sets of customers."""

from django.db import models
from django.db.models.functions import Now

from audience.models.customers import Customer


class AudienceKind(models.TextChoices):
    """By what a customer belongs to an audience."""

    RULE = "rule", "Those for whom a rule holds"
    LIST = "list", "Those of a list"


class Audience(models.Model):
    """A named set of customers.

    A rule's members are looked up again and again; `size` and the memberships are those of
    `counted_at`. What decides at a moment asks the rule itself.
    """

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    kind = models.CharField(
        max_length=4, choices=AudienceKind.choices, default=AudienceKind.RULE, editable=False
    )
    rule = models.JSONField(default=dict, blank=True)
    # Grows with each change of the rule, so that what was approved can be told from what is.
    version = models.PositiveIntegerField(default=1, editable=False)
    size = models.PositiveBigIntegerField(null=True, editable=False)
    counted_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind=AudienceKind.RULE) | models.Q(rule={}),
                name="audience_of_a_list_has_no_rule",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A customer's part in an audience: since when, as far as was looked."""

    pk = models.CompositePrimaryKey("audience_id", "customer_id")
    audience = models.ForeignKey(
        Audience, on_delete=models.CASCADE, related_name="memberships", db_index=False
    )
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="+")
    since = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.customer_id} in {self.audience_id}"
