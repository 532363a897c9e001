"""What operations of several APIs share: their refusals, and bodies that are not looked into."""

from typing import Any

from wire.openapi import PROBLEM_JSON, Answer, Content, ProblemDocument

ANYTHING: dict[str, Any] = {"type": "object"}
TEXT: dict[str, Any] = {"type": "string"}


def a_key(scope: str) -> str:
    """Say which key an operation needs."""
    return f"the key of a source with the scope `{scope}`"


def problem(meaning: str, **headers: str) -> Answer:
    """Describe a refusal."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(meaning, Content(ProblemDocument, PROBLEM_JSON), named)


def refusals() -> dict[int, Answer]:
    """Describe what any path that takes a body and a key may answer instead."""
    return {
        400: problem("The body is no JSON, or holds what cannot be stored."),
        401: problem("No source has this key, or none was sent."),
        403: problem("The key may not do this."),
        413: problem("The body is too large."),
        415: problem("The Content-Encoding is neither gzip nor none."),
        422: problem("A field is missing, or is not what it should be."),
        429: problem("The key has asked too often.", retry_after="Whole seconds to wait."),
        503: problem("The database cannot be reached now.", retry_after="Whole seconds to wait."),
    }
