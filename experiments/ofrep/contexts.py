"""Reads the context of an evaluation: who it is for, and what the client knows of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audience.customers.finding import Name
from audience.incoming import ANONYMOUS_PREFIX, KEY_LENGTH
from experiments.ofrep.documents import Question
from wire.bodies import parse
from wire.messages import Problem, Request


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks, if that was said, and with which attributes."""

    name: Name | None
    attributes: Mapping[str, Any]


def read_context(request: Request) -> Context:
    """Read the body of a request.

    Raises:
        Problem: It is no JSON (400) or has no usable context (422).
    """
    attributes = parse(request, Question).context
    key = attributes.pop("targetingKey", None)
    if key is None:
        return Context(None, attributes)
    if not isinstance(key, str):
        raise Problem(422, f"The targetingKey has to be a text, not {key!r:.40}.")
    if not key or len(key) > KEY_LENGTH:
        raise Problem(422, f"The targetingKey needs from 1 to {KEY_LENGTH} characters.")
    # A visitor's key, as it stands in exports: the visitor may be a known customer by now.
    visitor = key.removeprefix(ANONYMOUS_PREFIX)
    return Context(Name(None, visitor) if visitor and visitor != key else Name(key), attributes)
