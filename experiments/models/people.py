"""Who asked, who agreed, who changed what, and who is told."""

import base64
import secrets

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from experiments.models.experiments import Experiment


def make_token() -> str:
    """Return an unguessable name, for the links of people without an account."""
    return secrets.token_urlsafe(32)


def make_secret() -> str:
    """Return a key to sign with, in the form of Standard Webhooks."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"


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


class Review(models.Model):
    """Somebody asks for an experiment to be let in, and somebody else answers."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="reviews")
    # Of the design as it was when it was asked; another design needs another review.
    digest = models.CharField(max_length=64)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    requested_at = models.DateTimeField()
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    answered_at = models.DateTimeField(null=True)
    is_approved = models.BooleanField(default=False)
    note = models.TextField(blank=True)

    class Meta:
        ordering = ["-requested_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(answered_by__isnull=True)
                | ~models.Q(answered_by=models.F("requested_by")),
                name="nobody_answers_their_own_review",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    answered_by__isnull=True, answered_at__isnull=True, is_approved=False
                )
                | models.Q(answered_by__isnull=False, answered_at__isnull=False),
                name="review_is_answered_by_somebody",
            ),
            models.UniqueConstraint(
                fields=["experiment"],
                condition=models.Q(answered_at__isnull=True),
                name="one_open_review_per_experiment",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.experiment}, asked by {self.requested_by}"


class Subscriber(models.Model):
    """An e-mail address that gets the weekly digest, with or without an account."""

    email = models.EmailField(unique=True)
    token = models.CharField(max_length=43, unique=True, default=make_token, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    unsubscribed_at = models.DateTimeField(null=True, blank=True)
    # The Monday of the last week that was sent, so that no week is sent twice.
    digested_week = models.DateField(null=True, editable=False)

    def __str__(self) -> str:
        return self.email


class Endpoint(models.Model):
    """An address that is told of what happens, signed per Standard Webhooks."""

    url = models.URLField(max_length=500)
    secret = models.CharField(max_length=60, default=make_secret, editable=False)
    # None is all of them.
    events = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return self.url


class Notice(models.Model):
    """Something that somebody is to be told; kept until it was, or given up.

    It goes to an endpoint as a signed message, or to an address as a mail.
    """

    endpoint = models.ForeignKey(
        Endpoint, null=True, on_delete=models.CASCADE, related_name="notices"
    )
    email = models.EmailField(blank=True)
    # The same thing is told the same receiver once, however often it is asked for.
    message_id = models.CharField(max_length=100, unique=True)
    event = models.CharField(max_length=40)
    payload = models.JSONField()
    created_at = models.DateTimeField()
    # When it is tried next; empty once it was taken or given up.
    due_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["due_at"], condition=models.Q(due_at__isnull=False), name="notice_due"
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(endpoint__isnull=False, email="")
                | (models.Q(endpoint__isnull=True) & ~models.Q(email="")),
                name="notice_has_one_receiver",
            )
        ]

    def __str__(self) -> str:
        return f"{self.event} for {self.endpoint or self.email}"
