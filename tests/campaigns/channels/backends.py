"""Mail services that do not take anything, each in its way."""

from collections.abc import Sequence
from typing import Any

from anymail.exceptions import AnymailAPIError, AnymailRecipientsRefused
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend


class _Saying(BaseEmailBackend):
    error: Any = None

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        raise self.error


class Failing(_Saying):
    error = AnymailAPIError("broken", response=None)


class Refusing(_Saying):
    error = AnymailRecipientsRefused("no")


class _Answered(AnymailAPIError):  # type: ignore[misc]
    def __init__(self, status_code: int) -> None:
        super().__init__("answered")
        self.status_code = status_code


class Busy(_Saying):
    error = _Answered(429)


class Picky(_Saying):
    error = _Answered(400)
