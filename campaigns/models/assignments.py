"""What is decided for a whole audience beforehand, and how far that is."""

from django.conf import settings
from django.db import models

from audience.models import Customer
from campaigns.models.campaigns import Campaign


class Assignment(models.Model):
    """The wish to decide for a campaign's whole audience, as it was when somebody asked.

    `reached` is the last customer who was decided for; it moves in the transaction that logs the
    decisions, so that a worker that is killed leaves nothing to be decided twice.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="assignments")
    asked_at = models.DateTimeField()
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    total = models.PositiveBigIntegerField(default=0)
    done = models.PositiveBigIntegerField(default=0)
    reached = models.PositiveBigIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)
    # Why it does not go on; empty where it does.
    problem = models.CharField(max_length=300, blank=True)

    class Meta:
        get_latest_by = "asked_at"
        constraints = [
            models.UniqueConstraint(
                fields=["campaign"],
                condition=models.Q(finished_at__isnull=True),
                name="one_assignment_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"{self.campaign}, {self.asked_at:%Y-%m-%d %H:%M}"


class AssignmentPlan(models.Model):
    """How what is scarce is divided among those of an assignment who were still to be decided for.

    Its decisions name it, so that they can be made again. Without a temperature nothing was scarce,
    and the policy chose as it does on the site.
    """

    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="plans")
    # Among so many.
    customers = models.PositiveBigIntegerField()
    # Of the policy, by what it had learned.
    version = models.PositiveIntegerField()
    # What each offer has to earn more, by its key, in units of reward; as of `allocating.py`.
    asked = models.JSONField(default=dict)
    temperature = models.FloatField(null=True)
    made_at = models.DateTimeField()

    class Meta:
        get_latest_by = "pk"

    def __str__(self) -> str:
        return f"{self.assignment}: version {self.version}"


class Assigned(models.Model):
    """A customer of an assignment, with the decision once it is made; no offer is an empty key."""

    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="customers")
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="+")
    decision_id = models.UUIDField(null=True)
    arm = models.CharField(max_length=40, blank=True)
    offer = models.CharField(max_length=60, blank=True)
    propensity = models.FloatField(null=True)

    class Meta:
        verbose_name_plural = "assigned"
        constraints = [
            models.UniqueConstraint(
                fields=["assignment", "customer"], name="nobody_is_assigned_twice"
            )
        ]

    def __str__(self) -> str:
        return f"{self.customer_id}: {self.offer or 'no offer'}"
