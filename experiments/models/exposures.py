"""Who met which arm, and what was foretold of them before."""

from django.db import models

from audience.incoming import LARGEST
from audience.models import Customer
from experiments.models.experiments import Arm, Experiment


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
