"""Asks the apps above whether somebody may change whom an audience means, where they use it."""

from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.utils.module_loading import import_string

from audience.models import Audience

# Returns why not, in words that the person reads, or None.
Guard = Callable[[Audience, AbstractBaseUser | AnonymousUser], str | None]


def reason_against_change(
    audience: Audience, *, by: AbstractBaseUser | AnonymousUser
) -> str | None:
    """Return why a person may not change an audience's rule or list, or None."""
    guards: list[Guard] = [import_string(path) for path in settings.AUDIENCE_GUARDS]
    return next(filter(None, (guard(audience, by) for guard in guards)), None)
