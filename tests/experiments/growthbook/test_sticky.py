"""A customer keeps the variation that is remembered, for as long as its version lasts."""

from dataclasses import replace
from typing import Any

import pytest

from experiments.growthbook.context import Context
from experiments.growthbook.evaluator import Evaluator
from experiments.growthbook.sticky import select_documents

META = [{"key": "control"}, {"key": "new"}]
RULE: dict[str, Any] = {
    "key": "price",
    "variations": [10, 8],
    "meta": META,
    "hashVersion": 2,
    "fallbackAttribute": "device",
    # Nobody is drawn into it any more.
    "coverage": 0,
}


def document(attribute: str, value: str, **assignments: str) -> dict[str, Any]:
    return {"attributeName": attribute, "attributeValue": value, "assignments": assignments}


def visit(rule: dict[str, Any], *documents: dict[str, Any], **attributes: Any) -> Evaluator:
    features = {"price": {"rules": [{**RULE, **rule}]}}
    known = select_documents(documents, attributes)
    return Evaluator(Context(features=features, attributes=attributes, documents=known))


def test_what_is_remembered_is_given_whatever_became_of_the_shares() -> None:
    client = visit({}, document("id", "ada", price__0="new"), id="ada")
    result = client.feature("price").result
    assert result is not None
    assert (result.value, result.was_remembered) == (8, True)


def test_what_is_drawn_is_remembered_with_what_was_before() -> None:
    client = visit({"coverage": 1}, document("id", "7", other__0="x"), id=7)
    result = client.feature("price").result
    assert result is not None
    expected = document("id", "7", other__0="x", price__0=result.key)
    assert client.documents == {"id||7": expected}


def test_the_attribute_that_is_hashed_goes_before_the_one_that_stands_in() -> None:
    documents = (document("id", "ada", price__0="new"), document("device", "d", price__0="control"))
    assert visit({}, *documents, id="ada", device="d").feature("price").value == 8
    assert visit({}, *documents, device="d").feature("price").value == 10


def test_a_document_of_somebody_else_says_nothing() -> None:
    client = visit({}, document("id", "bob", price__0="new"), id="ada")
    assert client.feature("price").value is None
    assert client.documents == {}


@pytest.mark.parametrize(
    "rule",
    [{"bucketVersion": 1}, {"disableStickyBucketing": True}, {"meta": [{"key": "control"}, {}]}],
)
def test_what_is_remembered_of_another_experiment_does_not_count(rule: dict[str, Any]) -> None:
    client = visit(rule, document("id", "ada", price__0="new"), id="ada")
    assert client.feature("price").value is None


def test_who_has_a_blocked_version_is_let_in_no_more() -> None:
    rule = {"bucketVersion": 1, "minBucketVersion": 1, "coverage": 1}
    experiment = {**RULE, **rule}
    client = visit(rule, document("id", "ada", price__0="new"), id="ada")
    result = client.run(experiment)
    assert (result.is_in, result.was_remembered) == (False, True)
    assert visit(rule, id="ada").run(experiment).is_in


def test_nothing_is_remembered_where_it_is_not_wanted() -> None:
    client = visit({"coverage": 1, "disableStickyBucketing": True}, id="ada")
    assert client.feature("price").value in (10, 8)
    assert client.documents == {}


def test_without_documents_nothing_stands_in_for_the_attribute() -> None:
    context = Context(features={"price": {"rules": [{**RULE, "coverage": 1}]}})
    known = replace(context, attributes={"device": "d"})
    assert Evaluator(known).feature("price").value is None
    assert Evaluator(replace(known, documents={})).feature("price").value in (10, 8)
    assert Evaluator(replace(context, documents={})).feature("price").value is None
