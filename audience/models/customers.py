"""Customers and their other names."""

from django.db import models
from django.db.models.functions import Now


class Customer(models.Model):
    """One person: the unit of randomisation.

    `merged_into` names the customer that this one turned out to be. Analyses count both as one.
    """

    external_key = models.CharField(max_length=255, unique=True)
    attributes = models.JSONField(default=dict, blank=True)
    merged_into = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        # Whoever keeps a copy asks who changed lately.
        indexes = [models.Index(fields=["updated_at"], name="customer_by_update")]
        permissions = [
            ("erase_customer", "Can erase a customer everywhere"),
            ("export_customer", "Can export all that is known of a customer"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(external_key=""), name="customer_key_is_not_empty"
            ),
            models.CheckConstraint(
                condition=~models.Q(merged_into=models.F("id")), name="merged_into_another_customer"
            ),
        ]

    def __str__(self) -> str:
        return self.external_key


class IdentityKind(models.TextChoices):
    """By what else a customer is known."""

    ANONYMOUS = "anonymous_id", "Anonymous id"
    EMAIL = "email", "E-mail address"
    DEVICE = "device", "Device"


class Identity(models.Model):
    """Another name of a customer, such as the anonymous id of a browser."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="identities")
    kind = models.CharField(max_length=16, choices=IdentityKind.choices)
    value = models.CharField(max_length=255)

    class Meta:
        verbose_name_plural = "identities"
        constraints = [
            models.UniqueConstraint(fields=["kind", "value"], name="one_customer_per_identity")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"
