"""What every channel offers: check a message, write it for somebody, and send many."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Draft:
    """A message as its author wrote it; `html` is what the channel made of the body."""

    subject: str
    preheader: str
    body: str
    text: str = ""
    html: str = ""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody who is written to.

    Attributes:
        delivery_id: Of the delivery; 0 is a test that nothing is learned from.
        address: Where to, as the channel writes it.
        data: What the placeholders may name, plain (see `to_plain`).
        unsubscribe_url: Where this customer declines, in one step.
        is_test: Whether it only shows somebody what others get.
    """

    delivery_id: int
    address: str
    data: Mapping[str, Any]
    unsubscribe_url: str = ""
    is_test: bool = False


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message, written and ready to be sent.

    `message_id` is the name that the receiving side knows it by: of one delivery always the same.
    """

    delivery_id: int
    message_id: str
    address: str
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    # For services that want the parts instead of the whole.
    subject: str = ""
    text: str = ""
    html: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    """In whose name a campaign writes."""

    campaign: str
    purpose: str
    site_url: str
    from_email: str
    key: str


class Refused(Exception):
    """A message was not taken; `permanent` where trying again cannot help.

    `is_gone` says that the address is none, so that nothing is ever sent there again.
    """

    def __init__(self, reason: str, *, permanent: bool, is_gone: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.is_gone = is_gone


class Unsure(Exception):
    """It was broken off when the message may have been taken: nobody knows."""


class Form(Protocol):
    """A message that was made ready for being written many times."""

    def write(self, recipient: Recipient, *, now: datetime) -> Outgoing:
        """Write it for somebody.

        Raises:
            Unrenderable: It cannot be, and why.
            Refused: The address is none of this channel.
        """
        ...


class Line(Protocol):
    """A way out that is open, for one thread."""

    def send(self, outgoing: Outgoing, *, now: datetime) -> str:
        """Send one message; return the name that the receiving side gave it, or "".

        Raises:
            Refused: It was not taken.
            Unsure: Nobody knows whether it was.
        """
        ...


class Channel(Protocol):
    """By what customers are reached."""

    name: str

    def check(self, draft: Draft) -> str:
        """Check a message when it is saved; return what is made of its body once.

        Raises:
            BadTemplate: It cannot be sent, and why.
        """
        ...

    def prepare(self, draft: Draft, sender: Sender) -> Form:
        """Make a checked message ready."""
        ...

    def open(self) -> AbstractContextManager[Line]:
        """Open a way out.

        Raises:
            Refused: There is none now.
        """
        ...

    def address_of(self, attributes: Mapping[str, Any], identities: Mapping[str, str]) -> str:
        """Return where a customer is reached; "" where nowhere."""
        ...
