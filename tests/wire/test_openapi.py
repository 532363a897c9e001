"""The API's document says what the code does."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from audience.intake.segment import Batch
from audience.models import Scope
from config.asgi import application
from config.openapi.document import OPERATIONS, WRITTEN, routes, to_document, to_json
from config.openapi.ours import Assignments
from config.openapi.segment import BATCH
from tests.asgi import Site, open_site, serve
from tests.makers import make_experiment, make_source
from wire.dispatcher import Dispatcher, Receive, Send
from wire.dispatcher import Scope as Connection
from wire.openapi import Answer, Content, Operation, Parameter, describe

# Answered by Django.
BEHIND = {
    ("GET", "/api/v1/campaigns/{key}/results"),
    ("GET", "/api/v1/experiments/{key}/results"),
    ("POST", "/api/v1/subscribe"),
}


class Thing(msgspec.Struct):
    """A thing."""

    size: int


def served() -> set[tuple[str, str]]:
    return {
        (method, template)
        for template, resource in application.router.resources.items()
        for method in resource.handlers
        if method != "HEAD"
    }


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from references(each)


def test_the_file_is_what_the_code_says() -> None:
    assert WRITTEN.read_bytes() == to_json(), "run `python manage.py openapi`"


def test_everything_served_is_described() -> None:
    assert served() - set(OPERATIONS) == set()


def test_everything_described_is_served() -> None:
    assert set(OPERATIONS) - served() - BEHIND == set()


def test_every_reference_leads_somewhere() -> None:
    document = to_document()
    for reference in references(document):
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        assert found["title"]


def test_operations_have_names_of_their_own() -> None:
    names = [operation.name for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)


def test_every_template_is_a_parameter() -> None:
    for template, methods in to_document()["paths"].items():
        for operation in methods.values():
            named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", template))


def test_what_needs_a_key_says_what_happens_without() -> None:
    for operation in OPERATIONS.values():
        if operation.scope:
            assert {401, 403} <= set(operation.answers)


def test_a_batch_has_the_fields_that_are_read() -> None:
    assert set(BATCH["properties"]) == set(Batch.__struct_encode_fields__)


@pytest.mark.django_db(transaction=True)
def test_arms_are_answered_as_described(settings: Any) -> None:
    settings.REVIEW_IS_REQUIRED = False
    experiment = make_experiment(is_standalone=True)
    _, key = make_source(Scope.DECIDE)
    with open_site() as site:
        body = {"customer": "ada", "experiments": [experiment.key, "unknown"]}
        answer = site.post("/api/v1/assign", body, key=key)
    assert set(msgspec.json.decode(answer.body, type=Assignments).assignments) == {
        experiment.key, "unknown",
    }  # fmt: skip


def test_the_document_is_served() -> None:
    async def behind(connection: Connection, receive: Receive, send: Send) -> None:
        raise AssertionError("it has a route")

    site: Site
    with serve(Dispatcher(routes(), fallback=behind)) as site:
        answer = site.get("/api/openapi.json")
    assert (answer.status, answer.json()) == (200, to_document())


def test_an_operation_is_described_with_all_it_takes_and_answers() -> None:
    operation = Operation(
        name="make",
        tag="Things",
        meaning="Make a thing.\nSlowly.",
        body=Content(Thing),
        answers={
            201: Answer("It is made.", Content(list[Thing]), {"etag": "Of it."}),
            409: Answer("It is there."),
        },
        parameters=[Parameter("fast", "Whether to hurry.", is_required=True)],
        scope="a key",
    )
    document = describe({("POST", "/things/{name}"): operation}, info={"title": "T"})
    reference = {"$ref": "#/components/schemas/Thing"}
    text = {"type": "string"}
    assert document["paths"]["/things/{name}"]["post"] == {
        "operationId": "make",
        "tags": ["Things"],
        "summary": "Make a thing.",
        "description": "Slowly.\n\nNeeds a key.",
        "parameters": [
            {"name": "name", "in": "path", "required": True, "schema": text},
            {
                "name": "fast",
                "in": "query",
                "description": "Whether to hurry.",
                "required": True,
                "schema": text,
            },
        ],
        "responses": {
            "201": {
                "description": "It is made.",
                "headers": {"etag": {"description": "Of it.", "schema": text}},
                "content": {"application/json": {"schema": {"type": "array", "items": reference}}},
            },
            "409": {"description": "It is there."},
        },
        "security": [{"bearer": []}, {"basic": []}, {"header": []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": reference}}},
    }
    assert document["components"]["schemas"]["Thing"]["description"] == "A thing."


def test_a_schema_can_be_written_by_hand() -> None:
    operation = Operation("get", "T", "Get.", {200: Answer("Here.", Content({"type": "string"}))})
    written = describe({("GET", "/"): operation}, info={})["paths"]["/"]["get"]
    assert written["responses"]["200"]["content"] == {
        "application/json": {"schema": {"type": "string"}}
    }
    assert "requestBody" not in written
    assert (written["security"], written["description"]) == ([], "")
