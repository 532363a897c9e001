"""What was promised, and what came out."""

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now

from experiments.models.experiments import Experiment
from experiments.models.metrics import Metric


class PlanVersion(models.Model):
    """What an experiment promised, from a time on; never changed, only followed by another.

    A change of weights is one too, so versions are also the phases in which weights were the same.
    """

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="plans")
    number = models.PositiveSmallIntegerField()
    plan = models.JSONField()
    digest = models.CharField(max_length=64)
    valid_from = models.DateTimeField()

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(
                fields=["experiment", "number"], name="one_plan_per_version_number"
            )
        ]

    def __str__(self) -> str:
        return f"version {self.number}, {self.digest[:12]}"


class Analysis(models.Model):
    """What an experiment's data said at one time, with the moments to recompute it from."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="analyses")
    plan_version = models.ForeignKey(
        PlanVersion, null=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    computed_at = models.DateTimeField()
    moments = models.JSONField()
    report = models.JSONField()
    # What lists, timelines and digests show of it, without reading all of the report.
    summary = models.JSONField(default=dict)
    # At which fraction of the planned size the experiment was judged; empty where it was not.
    look = models.FloatField(null=True)
    # Whether its verdict is the one that stands.
    is_decision = models.BooleanField(default=False)

    class Meta:
        verbose_name_plural = "analyses"
        get_latest_by = "computed_at"
        indexes = [
            models.Index(fields=["experiment", "computed_at"], name="analysis_by_time"),
            models.Index(
                fields=["experiment", "computed_at"],
                condition=models.Q(look__isnull=False),
                name="look_by_time",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["experiment"],
                condition=models.Q(is_decision=True),
                name="one_decision_per_experiment",
            )
        ]

    def __str__(self) -> str:
        return f"{self.experiment} at {self.computed_at:%Y-%m-%d %H:%M}"


class Replay(models.Model):
    """An A/A test by replay: random splits of the past, and how often they found an effect."""

    metrics = models.ManyToManyField(Metric, related_name="+")
    entry = models.CharField(
        max_length=255, help_text="Name of the events by which customers enter."
    )
    splits = models.PositiveIntegerField(default=1000, validators=[MinValueValidator(100)])
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    requested_at = models.DateTimeField(db_default=Now())
    done = models.PositiveIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)
    # Per metric, or under `error` why there is none.
    result = models.JSONField(default=dict)

    class Meta:
        get_latest_by = "requested_at"

    def __str__(self) -> str:
        return f"{self.splits} splits as of {self.requested_at:%Y-%m-%d %H:%M}"
