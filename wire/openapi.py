"""Describes what the hot paths take and answer as an OpenAPI 3.1 document."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
_REF = "#/components/schemas/{name}"


class ProblemDocument(msgspec.Struct):
    """A refusal that says what was wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


@dataclass(frozen=True, slots=True)
class Content:
    """What stands in a body.

    Attributes:
        shape: A type that msgspec can describe, or a JSON schema.
        media_type: How it is written.
    """

    shape: Any
    media_type: str = JSON


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of an operation.

    Attributes:
        meaning: When it is given.
        content: What is in it, if anything.
        headers: What its headers say, by their name.
    """

    meaning: str
    content: Content | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the query or a header."""

    name: str
    meaning: str
    place: str = "query"
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """What one method does at one path.

    Attributes:
        name: Of the operation, for generated clients.
        tag: The part of the API that it belongs to.
        meaning: What it does.
        answers: By status.
        body: What is sent, if anything.
        parameters: Besides those of the path.
        scope: What the key has to be allowed, in words; empty where no key is needed.
    """

    name: str
    tag: str
    meaning: str
    answers: Mapping[int, Answer]
    body: Content | None = None
    parameters: Sequence[Parameter] = ()
    scope: str = ""


def describe(
    operations: Mapping[tuple[str, str], Operation], *, info: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the document of operations, by their method and path template."""
    contents = list(_contents(operations.values()))
    typed = [content for content in contents if not isinstance(content.shape, Mapping)]
    # All at once, so that types of one name in several modules are told apart.
    found, components = msgspec.json.schema_components(
        [content.shape for content in typed], ref_template=_REF
    )
    schemas = {id(content): schema for content, schema in zip(typed, found, strict=True)}
    schemas |= {id(c): dict(c.shape) for c in contents if isinstance(c.shape, Mapping)}
    paths: dict[str, dict[str, Any]] = {}
    for (method, template), operation in operations.items():
        written = _operation(template, operation, schemas)
        paths.setdefault(template, {})[method.lower()] = written
    return {
        "openapi": "3.1.0",
        "info": dict(info),
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _contents(operations: Iterable[Operation]) -> Iterator[Content]:
    for operation in operations:
        for content in (operation.body, *(each.content for each in operation.answers.values())):
            if content is not None:
                yield content


def _operation(template: str, operation: Operation, schemas: Mapping[int, Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", template)
    ] + [
        {
            "name": each.name,
            "in": each.place,
            "description": each.meaning,
            "required": each.is_required,
            "schema": {"type": "string"},
        }
        for each in operation.parameters
    ]
    summary, _, rest = operation.meaning.partition("\n")
    written: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": summary,
        "description": "\n\n".join(
            part for part in (rest.strip(), operation.scope and f"Needs {operation.scope}.") if part
        ),
        "parameters": parameters,
        "responses": {
            str(status): _answer(answer, schemas)
            for status, answer in sorted(operation.answers.items())
        },
        "security": [{name: []} for name in ("bearer", "basic", "header") if operation.scope],
    }
    if operation.body is not None:
        written["requestBody"] = {"required": True, "content": _content(operation.body, schemas)}
    return written


def _answer(answer: Answer, schemas: Mapping[int, Any]) -> dict[str, Any]:
    written: dict[str, Any] = {"description": answer.meaning}
    if answer.headers:
        written["headers"] = {
            name: {"description": meaning, "schema": {"type": "string"}}
            for name, meaning in answer.headers.items()
        }
    if answer.content is not None:
        written["content"] = _content(answer.content, schemas)
    return written


def _content(content: Content, schemas: Mapping[int, Any]) -> dict[str, Any]:
    return {content.media_type: {"schema": schemas[id(content)]}}
