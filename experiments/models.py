"""Experiments, their arms, who met them, what is measured and what came out."""

from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.urls import reverse

from audience.models import Customer
from experiments.assignment import BUCKETS
from experiments.metrics import metric_choices


class Status(models.TextChoices):
    """Where an experiment is in its life."""

    DRAFT = "draft", "Draft"
    RUNNING = "running", "Running"
    STOPPED = "stopped", "Stopped"


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
        help_text="The verdict is given when this many customers took part, not before.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    stopped_at = models.DateTimeField(null=True, editable=False)
    # Empty again as soon as an analysis saw it.
    analysis_requested_at = models.DateTimeField(null=True, editable=False)
    analysed_at = models.DateTimeField(null=True, editable=False)

    objects = ExperimentQuerySet.as_manager()

    class Meta:
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


class Analysis(models.Model):
    """What an experiment's data said at one time, with the moments to recompute it from."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="analyses")
    computed_at = models.DateTimeField()
    moments = models.JSONField()
    report = models.JSONField()

    class Meta:
        verbose_name_plural = "analyses"
        get_latest_by = "computed_at"
        indexes = [models.Index(fields=["experiment", "computed_at"], name="analysis_by_time")]

    def __str__(self) -> str:
        return f"{self.experiment} at {self.computed_at:%Y-%m-%d %H:%M}"


class Change(models.Model):
    """Who changed an experiment's state, when and why."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="changes")
    at = models.DateTimeField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    action = models.CharField(max_length=40)
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-at", "-id"]

    def __str__(self) -> str:
        return f"{self.action} at {self.at:%Y-%m-%d %H:%M}"
