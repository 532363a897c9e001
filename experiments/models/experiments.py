"""Experiments: their life, their arms, who may take part, and which metrics they measure."""

from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, BigIntegerRangeField, RangeOperators
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Cast, Now
from django.urls import reverse

from experiments.assigning.assignment import BUCKETS
from experiments.models.metrics import Metric


class Status(models.TextChoices):
    """Where an experiment is in its life."""

    DRAFT = "draft", "Draft"
    IN_REVIEW = "in_review", "In review"
    APPROVED = "approved", "Approved"
    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    STOPPED = "stopped", "Stopped"


# Customers met it and are not all known yet: it is measured on.
LIVE = (Status.RUNNING, Status.PAUSED)
# Nobody met it yet.
UNSTARTED = (Status.DRAFT, Status.IN_REVIEW, Status.APPROVED)


class Outcome(models.TextChoices):
    """What people made of an experiment."""

    SHIPPED = "shipped", "Shipped"
    ROLLED_BACK = "rolled_back", "Rolled back"


class MonitoringRule(models.TextChoices):
    """How looks are paid for; see `experiments/plan.py`."""

    GROUP_SEQUENTIAL = "group_sequential", "Looks up to the planned size"
    CONFIDENCE_SEQUENCE = "confidence_sequence", "Looks for ever, without an end"
    FIXED = "fixed", "One look, at the planned size"


class ExclusionGroup(models.Model):
    """Experiments that must not share customers: each takes buckets of its own."""

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=100)
    seed = models.CharField(max_length=80, editable=False)

    def __str__(self) -> str:
        return self.name


class ExperimentQuerySet(models.QuerySet["Experiment"]):
    """Filters of experiments."""

    def due_for_analysis(self, *, now: datetime, interval_seconds: float) -> Self:
        """Find what was asked for, and what runs and was not looked at for so long."""
        stale = now - timedelta(seconds=interval_seconds)
        is_old = models.Q(analysed_at__isnull=True) | models.Q(analysed_at__lt=stale)
        return self.filter(
            models.Q(analysis_requested_at__isnull=False) | (models.Q(status__in=LIVE) & is_old)
        ).order_by("analysis_requested_at", "pk")


def check_metadata(value: object) -> None:
    """Refuse what OpenFeature's clients cannot take as a flag's metadata.

    Raises:
        ValidationError: It is no object, or one of its values is no text, number, yes or no.
    """
    if not isinstance(value, dict):
        raise ValidationError("Metadata are an object of names and values.")
    for name, each in value.items():
        if not isinstance(each, str | bool | int | float):
            raise ValidationError(f"The value of \u201c{name}\u201d is no text, number, yes or no.")


_BUCKETS_OF_GROUP = models.Func(
    *(
        models.ExpressionWrapper(
            Cast("group", models.BigIntegerField()) * BUCKETS + models.F(end),
            output_field=models.BigIntegerField(),
        )
        for end in ("group_from", "group_until")
    ),
    function="int8range",
    output_field=BigIntegerRangeField(),
)


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
    # A hold-out is one whose control is kept from the experiments that require its other arm.
    is_holdout = models.BooleanField(default=False, editable=False)
    # A hold-out that also keeps its control from all that decides without naming it.
    is_global = models.BooleanField(default=False, editable=False)
    # Whether clients ask for its arms by its key; a campaign's arms are served by the campaign.
    is_standalone = models.BooleanField(default=False, editable=False)
    audience = models.JSONField(
        default=dict,
        blank=True,
        help_text="Who may take part: conditions on customers' attributes; none is everybody.",
    )
    traffic = models.PositiveSmallIntegerField(
        default=BUCKETS,
        help_text=f"How many of the audience take part, in hash buckets of {BUCKETS}.",
    )
    group = models.ForeignKey(
        ExclusionGroup, null=True, blank=True, on_delete=models.PROTECT, related_name="experiments"
    )
    # The group's buckets that are this experiment's, from the first to before the second.
    group_from = models.PositiveSmallIntegerField(default=0, editable=False)
    group_until = models.PositiveSmallIntegerField(default=0, editable=False)
    metadata = models.JSONField(
        default=dict,
        blank=True,
        validators=[check_metadata],
        help_text="What clients are told beside an arm: texts, numbers and yes or no, by name.",
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
    planned_end = models.DateField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    started_at = models.DateTimeField(null=True, editable=False)
    stopped_at = models.DateTimeField(null=True, editable=False)
    outcome = models.CharField(
        max_length=12, choices=Outcome.choices, blank=True, default="", editable=False
    )
    # What everybody in the audience gets since it was decided; nobody is exposed by that.
    served_arm = models.ForeignKey(
        "Arm", null=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    # When that began, which may be long after the stop. Empty too where a process of the version
    # before decided, while this one was brought in.
    decided_at = models.DateTimeField(null=True, editable=False)
    # Empty again as soon as an analysis saw it.
    analysis_requested_at = models.DateTimeField(null=True, editable=False)
    analysed_at = models.DateTimeField(null=True, editable=False)

    objects = ExperimentQuerySet.as_manager()

    class Meta:
        permissions = [
            ("peek_at_results", "Can see results before the minimum duration"),
            ("approve_experiment", "Can approve somebody else's experiment"),
            ("analyse_experiment", "Can ask for a fresh analysis"),
            ("run_experiment", "Can start, pause, ramp, stop and decide experiments"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(planned_customers__gte=2), name="two_customers_planned_or_more"
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=UNSTARTED) | models.Q(started_at__isnull=False),
                name="started_when_no_draft",
            ),
            models.CheckConstraint(
                condition=~models.Q(status=Status.STOPPED) | models.Q(stopped_at__isnull=False),
                name="stopped_at_when_stopped",
            ),
            models.CheckConstraint(
                condition=models.Q(outcome="")
                | models.Q(status=Status.STOPPED, served_arm__isnull=False),
                name="decided_when_stopped_and_served",
            ),
            models.CheckConstraint(
                condition=models.Q(is_global=False) | models.Q(is_holdout=True),
                name="only_a_holdout_is_global",
            ),
            models.UniqueConstraint(
                fields=["is_global"],
                condition=models.Q(is_global=True, status__in=LIVE),
                name="one_global_holdout_at_a_time",
            ),
            models.CheckConstraint(
                condition=models.Q(traffic__lte=BUCKETS), name="traffic_within_buckets"
            ),
            models.CheckConstraint(
                condition=models.Q(group__isnull=True, group_from=0, group_until=0)
                | models.Q(
                    group__isnull=False,
                    group_from__lt=models.F("group_until"),
                    group_until__lte=BUCKETS,
                ),
                name="group_share_within_buckets",
            ),
            # Every group has buckets of its own on one line, so that one range says both.
            ExclusionConstraint(
                name="experiments_of_a_group_share_no_buckets",
                expressions=[(_BUCKETS_OF_GROUP, RangeOperators.OVERLAPS)],
                condition=models.Q(group__isnull=False, status__in=(*UNSTARTED[1:], *LIVE)),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the address of the report."""
        return reverse("experiment-report", args=[self.key])

    def hidden_until(self, now: datetime) -> datetime | None:
        """Return until when results are hidden; None where they may be seen."""
        if self.started_at is None or self.status not in LIVE:
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
    # Since when its customers get the control's payload, because it did harm.
    halted_at = models.DateTimeField(null=True, editable=False)
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

    @property
    def named_values(self) -> dict[str, Any]:
        """The values that the arm sets by name; a flag's plain value, such as true, has none."""
        return self.payload if isinstance(self.payload, dict) else {}


class Role(models.TextChoices):
    """What a metric is for in an experiment."""

    GOAL = "goal", "Goal"
    SECONDARY = "secondary", "Secondary"
    GUARDRAIL = "guardrail", "Guardrail"


class ExperimentMetric(models.Model):
    """A metric's part in an experiment."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="measured")
    metric = models.ForeignKey(Metric, on_delete=models.PROTECT, related_name="measured_in")
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


class Prerequisite(models.Model):
    """An experiment takes only customers whom another one gives a certain arm."""

    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, related_name="prerequisites"
    )
    arm = models.ForeignKey(Arm, on_delete=models.PROTECT, related_name="required_by")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["experiment", "arm"], name="arm_required_once_per_experiment"
            )
        ]

    def __str__(self) -> str:
        return f"{self.arm} of {self.arm.experiment}"
