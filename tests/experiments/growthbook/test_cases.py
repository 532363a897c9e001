"""Every shared case of GrowthBook's SDKs (spec 0.8.0), section by section."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from audience.conditions import matches
from experiments.growthbook.addresses import find_override
from experiments.growthbook.buckets import (
    bucket_ranges,
    choose_variation,
    equal_weights,
    hash_of,
    is_in_namespace,
)
from experiments.growthbook.context import Context
from experiments.growthbook.encryption import Undecipherable, decrypt
from experiments.growthbook.evaluator import Evaluator
from experiments.growthbook.redirects import find_redirect
from experiments.growthbook.sticky import select_documents

# How many cases each section of the file has, so that none is lost unnoticed.
COUNTS = {
    "evalCondition": 248,
    "hash": 15,
    "getBucketRange": 13,
    "feature": 55,
    "run": 73,
    "chooseVariation": 13,
    "getQueryStringOverride": 16,
    "inNamespace": 16,
    "getEqualWeights": 6,
    "decrypt": 10,
    "stickyBucket": 13,
    "urlRedirect": 4,
    "contextualBandit": 35,
}
# The file writes some ranges and weights in eight digits.
DIGITS = 1e-7

FIELDS = {
    "features": "features",
    "contextualBandits": "contextual_bandits",
    "savedGroups": "saved_groups",
    "attributes": "attributes",
    "url": "url",
    "forcedVariations": "forced_variations",
    "enabled": "is_enabled",
    "qaMode": "is_qa",
}


def to_context(document: Mapping[str, Any], **more: Any) -> Context:
    return Context(**{FIELDS[k]: v for k, v in document.items() if k in FIELDS}, **more)


def eval_condition(
    condition: Any, attributes: Any, expected: Any, groups: Any = None
) -> tuple[Any, Any]:
    return matches(condition, attributes, saved_groups=groups), expected


def hash_case(seed: str, value: str, version: int, expected: Any) -> tuple[Any, Any]:
    return hash_of(seed, value, version), expected


def bucket_range(question: Any, expected: Any) -> tuple[Any, Any]:
    return [list(each) for each in bucket_ranges(*question)], [
        pytest.approx(each, abs=DIGITS) for each in expected
    ]


def feature(context: Any, key: str, expected: Any) -> tuple[Any, Any]:
    return Evaluator(to_context(context)).feature(key).to_document(), expected


def run(context: Any, experiment: Any, *expected: Any) -> tuple[Any, Any]:
    result = Evaluator(to_context(context)).run(experiment)
    return (result.value, result.is_in, result.was_hashed), expected


def choose(place: float, ranges: Any, expected: int) -> tuple[Any, Any]:
    return choose_variation(place, ranges), expected


def override(key: str, url: str, count: int, expected: Any) -> tuple[Any, Any]:
    return find_override(key, url, count), expected


def namespace(value: str, within: Any, expected: bool) -> tuple[Any, Any]:
    return is_in_namespace(value, within), expected


def weights(count: int, expected: Any) -> tuple[Any, Any]:
    return equal_weights(count), pytest.approx(expected, abs=DIGITS)


def decryption(encrypted: str, key: str, expected: Any) -> tuple[Any, Any]:
    try:
        return decrypt(encrypted, key), expected
    except Undecipherable:
        return None, expected


def sticky(context: Any, documents: Any, key: str, expected: Any, kept: Any) -> tuple[Any, Any]:
    known = select_documents(documents, context["attributes"])
    evaluator = Evaluator(to_context(context, documents=known))
    result = evaluator.feature(key).result
    return (result and result.to_document(), evaluator.documents), (expected, kept)


def redirect(context: Any, expected: Any) -> tuple[Any, Any]:
    evaluator = Evaluator(to_context(context))
    found = find_redirect(evaluator, context["experiments"], context["url"])
    assert found is not None
    document = {
        "inExperiment": found.result.is_in,
        "urlRedirect": found.result.value["urlRedirect"],
        "urlWithParams": found.url,
    }
    return [document], expected


# Each takes a case without its name, and returns what came out and what should.
SECTIONS: dict[str, Callable[..., tuple[Any, Any]]] = {
    "evalCondition": eval_condition,
    "hash": hash_case,
    "getBucketRange": bucket_range,
    "feature": feature,
    "run": run,
    "chooseVariation": choose,
    "getQueryStringOverride": override,
    "inNamespace": namespace,
    "getEqualWeights": weights,
    "decrypt": decryption,
    "stickyBucket": sticky,
    "urlRedirect": redirect,
    "contextualBandit": feature,
}
NAMELESS = {"hash", "getEqualWeights"}


@pytest.fixture(scope="module")
def cases(shared_file: Callable[[str], Path]) -> Any:
    return json.loads(shared_file("specs/growthbook-sdk-cases.json").read_text())


def test_the_file_holds_no_section_that_is_not_tried(cases: Any) -> None:
    assert {name for name, rows in cases.items() if isinstance(rows, list)} - set(SECTIONS) == set()


@pytest.mark.parametrize("section", SECTIONS)
def test_every_case_of_a_section_is_met(section: str, cases: Any) -> None:
    rows = cases[section]
    assert len(rows) >= COUNTS[section]
    wrong = []
    for row in rows:
        actual, expected = SECTIONS[section](*(row if section in NAMELESS else row[1:]))
        if actual != expected:
            wrong.append((row[0], actual))
    assert wrong == []
