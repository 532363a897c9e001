"""Experiments, their arms, who met them, what is measured and what came out."""

from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.urls import reverse

from audience.incoming import LARGEST
from audience.models import Customer
from experiments.assignment import BUCKETS
from experiments.metrics import metric_choices


class Status(models.TextChoices):
    """Where an experiment is in its life."""

    DRAFT = "draft", "Draft"
    RUNNING = "running", "Running"
    STOPPED = "stopped", "Stopped"


class MonitoringRule(models.TextChoices):
    """How looks are paid for; see `experiments/plan.py`."""

    GROUP_SEQUENTIAL = "group_sequential", "Looks up to the planned size"
    CONFIDENCE_SEQUENCE = "confidence_sequence", "Looks for ever, without an end"
    FIXED = "fixed", "One look, at the planned size"


class Metric(models.Model):
    """A number per customer, computed from events after the customer's exposure."""

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(
        max_length=100, help_text="What it measures, as a noun: conversion, spend, visits."
    )
    # A callable, so that a new metric type makes no migration.
    kind = models.CharField(max_length=30, choices=metric_choices)
    params = models.JSONField(default=dict)
    higher_is_better = models.BooleanField(default=True)

    def __str__(self) -> str:
        return self.name

    @property
    def is_settled(self) -> bool:
        """Whether an experiment that was started measures it."""
        started = ExperimentMetric.objects.exclude(experiment__status=Status.DRAFT)
        return started.filter(metric=self).exists()


class ExperimentQuerySet(models.QuerySet["Experiment"]):
    """Filters of experiments."""

    def due_for_analysis(self, *, now: datetime, interval_seconds: float) -> Self:
        """Find what was asked for, and what runs and was not looked at for so long."""
        stale = now - timedelta(seconds=interval_seconds)
        is_old = models.Q(analysed_at__isnull=True) | models.Q(analysed_at__lt=stale)
        return self.filter(
            models.Q(analysis_requested_at__isnull=False)
            | (models.Q(status=Status.RUNNING) & is_old)
        ).order_by("analysis_requested_at", "pk")


class Experiment(models.Model):
    """A randomised comparison of arms over customers."""

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=100)
    hypothesis = models.TextField(blank=True)
    # Fixed for life, so that a customer keeps an arm. Longer than the key that it begins with.
    seed = models.CharField(max_length=80, editable=False)
    status = models.CharField(
        max_length=10, choices=Status.choices, default=Status.DRAFT, editable=False
    )
    metrics = models.ManyToManyField(Metric, through="ExperimentMetric", related_name="+")
    planned_customers = models.PositiveIntegerField(
        validators=[MinValueValidator(2)],
        help_text="How many customers are to take part; looks before that cost some of the error.",
    )
    minimum_days = models.PositiveSmallIntegerField(
        default=7,
        help_text="Results stay hidden, and nothing wins, before so many days: whole weeks are "
        "best, because people act differently on other weekdays.",
    )
    monitoring = models.CharField(
        max_length=20,
        choices=MonitoringRule.choices,
        default=MonitoringRule.GROUP_SEQUENTIAL,
        help_text="How often the results may be looked at without finding winners by chance.",
    )
    history_days = models.PositiveSmallIntegerField(
        default=28,
        help_text="How far back customers' behaviour before exposure is used to take noise out of "
        "the results; 0 is not at all.",
    )
    prediction = models.SlugField(
        max_length=60,
        blank=True,
        help_text="Name of a prediction, made before exposure, that is used in the same way.",
    )
    strata = models.CharField(
        max_length=100,
        blank=True,
        help_text="A customer attribute; arms are then compared within groups that share it.",
    )
    segments = ArrayField(
        models.CharField(max_length=100),
        default=list,
        blank=True,
        help_text="Customer attributes by which results are also shown, separated by commas.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    stopped_at = models.DateTimeField(null=True, editable=False)
    # Empty again as soon as an analysis saw it.
    analysis_requested_at = models.DateTimeField(null=True, editable=False)
    analysed_at = models.DateTimeField(null=True, editable=False)

    objects = ExperimentQuerySet.as_manager()

    class Meta:
        permissions = [("peek_at_results", "Can see results before the minimum duration")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(planned_customers__gte=2), name="two_customers_planned_or_more"
            ),
            models.CheckConstraint(
                condition=models.Q(status=Status.DRAFT) | models.Q(started_at__isnull=False),
                name="started_when_no_draft",
            ),
            models.CheckConstraint(
                condition=~models.Q(status=Status.STOPPED) | models.Q(stopped_at__isnull=False),
                name="stopped_at_when_stopped",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the address of the report."""
        return reverse("experiment-report", args=[self.key])

    def hidden_until(self, now: datetime) -> datetime | None:
        """Return until when results are hidden; None where they may be seen."""
        if self.started_at is None or self.status != Status.RUNNING:
            return None
        until = self.started_at + timedelta(days=self.minimum_days)
        return until if now < until else None


class Arm(models.Model):
    """One side of an experiment."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="arms")
    key = models.SlugField(max_length=40)
    name = models.CharField(max_length=100)
    weight = models.PositiveIntegerField(
        help_text=f"Its share of customers in hash buckets, of {BUCKETS} in all."
    )
    payload = models.JSONField(default=dict, blank=True)
    is_control = models.BooleanField(default=False)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "key"], name="one_arm_per_key"),
            models.UniqueConstraint(
                fields=["experiment"],
                condition=models.Q(is_control=True),
                name="one_control_per_experiment",
            ),
            models.CheckConstraint(
                condition=models.Q(weight__lte=BUCKETS), name="arm_weight_within_buckets"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """What a metric is for in an experiment."""

    GOAL = "goal", "Goal"
    SECONDARY = "secondary", "Secondary"
    GUARDRAIL = "guardrail", "Guardrail"


class ExperimentMetric(models.Model):
    """A metric's part in an experiment."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="measured")
    metric = models.ForeignKey(Metric, on_delete=models.PROTECT, related_name="+")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.SECONDARY)
    margin = models.FloatField(
        null=True,
        blank=True,
        help_text="Of a guardrail: the loss, as a part of 1, that would still be acceptable.",
    )
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["experiment", "metric"], name="metric_measured_once"),
            models.UniqueConstraint(
                fields=["experiment"],
                condition=models.Q(role=Role.GOAL),
                name="one_goal_per_experiment",
            ),
            models.CheckConstraint(
                condition=models.Q(margin__isnull=True)
                | models.Q(role=Role.GUARDRAIL, margin__gt=0, margin__lt=1),
                name="margin_of_a_guardrail_is_a_share",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.metric} ({self.role})"


class Exposure(models.Model):
    """The first time a customer met an experiment, and in which arm."""

    # The constraint's index serves the experiment; nobody searches by arm, and every decision pays.
    experiment = models.ForeignKey(
        Experiment, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+")
    arm = models.ForeignKey(Arm, on_delete=models.PROTECT, related_name="+", db_index=False)
    exposed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["experiment", "customer"], name="one_exposure_per_customer"
            )
        ]

    def __str__(self) -> str:
        return f"customer {self.customer_id} met {self.arm_id}"


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


class Prediction(models.Model):
    """What a model said, before exposure, that a customer would do: a slot for noise reduction."""

    name = models.SlugField(max_length=60)
    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    value = models.FloatField()
    predicted_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "name", "predicted_at"], name="one_prediction_at_a_time"
            ),
            models.CheckConstraint(
                condition=models.Q(value__gt=-LARGEST, value__lt=LARGEST),
                name="prediction_is_below_a_quadrillion",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of customer {self.customer_id}: {self.value:g}"


class Analysis(models.Model):
    """What an experiment's data said at one time, with the moments to recompute it from."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="analyses")
    plan_version = models.ForeignKey(
        PlanVersion, null=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    computed_at = models.DateTimeField()
    moments = models.JSONField()
    report = models.JSONField()
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


class Change(models.Model):
    """Who changed an experiment's state, when and why."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="changes")
    at = models.DateTimeField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    action = models.CharField(max_length=200)
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-at", "-id"]

    def __str__(self) -> str:
        return f"{self.action} at {self.at:%Y-%m-%d %H:%M}"
