"""What is measured."""

from django.db import models

from experiments.metrics import metric_choices


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
        return self.measured_in.filter(experiment__started_at__isnull=False).exists()
