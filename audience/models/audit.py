"""Who changed what, when, from what to what; written by the database itself."""

from django.db import models
from django.db.models.functions import Now


class AuditEntry(models.Model):
    """One change of a row of a table that people set up; never changed.

    A trigger writes it in the transaction of the change, so that no way of changing a row is
    missed (ADR 17). Of an update, `before` and `after` hold only what differs.
    """

    table = models.CharField(max_length=63)
    row_id = models.CharField(max_length=40)
    at = models.DateTimeField(db_default=Now())
    # The name of an account; empty where no person was at it, such as a worker.
    by = models.CharField(max_length=150, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    class Meta:
        verbose_name = "change"
        verbose_name_plural = "changes"
        ordering = ["-id"]
        indexes = [models.Index(fields=["table", "row_id"], name="audit_of_row")]

    def __str__(self) -> str:
        return f"{self.table} {self.row_id} at {self.at:%Y-%m-%d %H:%M}"
