"""Applications that send events or ask for offers."""

from collections.abc import Mapping, Sequence

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models


class Scope(models.TextChoices):
    """What a key may do."""

    EVENTS = "events", "Send events"
    FLAGS = "flags", "Read experiments and flags"
    DECIDE = "decide", "Ask for offers"
    READ = "read", "Read results and check numbers"
    METRICS = "metrics", "Read how the server does"


class Kind(models.TextChoices):
    """Where a key is kept, which says how far it can be trusted."""

    CLIENT = "client", "Client: public, in pages and apps"
    SERVER = "server", "Server: secret"
    ADMIN = "admin", "Admin: secret, for who runs this site"


# Whoever reads a page's source has its key.
SCOPES_OF: Mapping[Kind, Sequence[Scope]] = {
    Kind.CLIENT: (Scope.EVENTS, Scope.FLAGS),
    Kind.SERVER: (Scope.EVENTS, Scope.FLAGS, Scope.DECIDE, Scope.READ),
    Kind.ADMIN: tuple(Scope),
}


class Source(models.Model):
    """An application that sends events or asks for offers, and the hash of its key.

    The key itself is shown once, when it is made, and is not stored.
    """

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.SERVER)
    # Both are empty where nothing is sent over HTTP, as with imported files.
    key_prefix = models.CharField(max_length=16, editable=False, blank=True)
    key_hash = models.BinaryField(max_length=32, unique=True, null=True, editable=False)
    # While clients are given the new key, the old one goes on.
    old_key_hash = models.BinaryField(max_length=32, null=True, editable=False)
    old_key_until = models.DateTimeField(null=True, editable=False)
    scopes = ArrayField(
        models.CharField(max_length=16, choices=Scope.choices), default=list, blank=True
    )
    requests_per_second = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="What one web process takes from it; more is asked to come again. "
        "Empty: no limit.",
    )
    events_per_day = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="How many events it may send in a day (UTC). Empty: no limit.",
    )
    encryption_key = models.CharField(
        max_length=24,
        blank=True,
        editable=False,
        help_text="With which GrowthBook's libraries read what this source's key fetches.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(kind=kind.value)
                | models.Q(scopes__contained_by=[scope.value for scope in scopes]),
                name=f"{kind.value}_key_may_do_so_much",
                violation_error_message="A key of this kind can do no more than: "
                f"{', '.join(scope.label for scope in scopes)}.",
            )
            for kind, scopes in SCOPES_OF.items()
        ]

    def __str__(self) -> str:
        return self.name
