"""Challengers of policies, and holds of what policies publish."""

from django.db import models

from recommender.bandits import bandit_choices


class Challenger(models.Model):
    """Another kind, or other settings, that learns from a policy's log and may take its place."""

    class Outcome(models.TextChoices):
        """How it ended."""

        PROMOTED = "promoted", "Decides now"
        WITHDRAWN = "withdrawn", "Withdrawn"

    policy = models.ForeignKey(
        "recommender.Policy", on_delete=models.CASCADE, related_name="challengers"
    )
    kind = models.CharField(max_length=30, choices=bandit_choices)
    hyperparameters = models.JSONField(default=dict, blank=True)
    is_automatic = models.BooleanField(
        default=False,
        verbose_name="takes over by itself",
        help_text="As soon as it is shown to be better and all checks pass. Without this, somebody "
        "who may approve has to let it.",
    )
    began_at = models.DateTimeField()
    # What it learned last, and what that is worth beside what decides (`challenging.py`).
    odds = models.BinaryField(null=True, editable=False)
    learned_from = models.PositiveBigIntegerField(default=0, editable=False)
    assessment = models.JSONField(default=dict, editable=False)
    assessed_at = models.DateTimeField(null=True, editable=False)
    looks = models.PositiveIntegerField(default=0, editable=False)
    # Since when somebody who may wants it to take over; a worker does it.
    wanted_at = models.DateTimeField(null=True, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, blank=True, editable=False)

    class Meta:
        ordering = ["-began_at"]
        permissions = [("promote_challenger", "Can let a challenger decide")]
        constraints = [
            models.UniqueConstraint(
                fields=["policy"],
                condition=models.Q(ended_at__isnull=True),
                name="one_challenger_at_a_time",
            ),
            models.CheckConstraint(
                condition=models.Q(ended_at__isnull=True, outcome="")
                | models.Q(ended_at__isnull=False) & ~models.Q(outcome=""),
                name="a_challenger_ends_somehow",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} for {self.policy}"


class PublishingHold(models.Model):
    """A check that failed: a policy publishes no version until somebody lets it again."""

    policy = models.ForeignKey("recommender.Policy", on_delete=models.CASCADE, related_name="holds")
    reason = models.CharField(max_length=300)
    held_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-held_at"]
        permissions = [("release_publishinghold", "Can let a policy publish again")]
        constraints = [
            models.UniqueConstraint(
                fields=["policy"],
                condition=models.Q(released_at__isnull=True),
                name="held_once_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"{self.policy}: {self.reason}"
