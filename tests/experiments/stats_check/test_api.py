"""Anyone with a key can check our numbers by theirs over HTTP."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from audience.models import Scope
from experiments.stats_check.answering import answer
from experiments.stats_check.api import MOST_COMPARISONS, MOST_LOOKS
from experiments.stats_check.document import read_document
from tests.asgi import Answer, Site, open_site
from tests.makers import make_source

pytestmark = pytest.mark.django_db(transaction=True)

COMPARISON: dict[str, Any] = {
    "control": {"customers": 21306, "converted": 2262},
    "treatment": {"customers": 21307, "converted": 3894},
}
PATH = "/api/v1/stats/compare"


@pytest.fixture
def site(transactional_db: None) -> Iterator[Site]:
    with open_site() as site:
        yield site


def send(site: Site, document: Any, *, scope: Scope = Scope.READ) -> Answer:
    _, key = make_source(scope)
    return site.post(PATH, document, key=key)


def test_the_answer_is_that_of_the_command(site: Site) -> None:
    document = {"comparisons": [COMPARISON], "confidence": 0.9}
    reply = send(site, document)
    assert reply.status == 200
    assert reply.json() == answer(read_document(msgspec.json.encode(document)))
    assert reply.json()["comparisons"][0]["result"]["relative"] == pytest.approx(0.7214, abs=1e-4)


def test_another_key_may_not_ask(site: Site) -> None:
    assert send(site, {"comparisons": [COMPARISON]}, scope=Scope.DECIDE).status == 403


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "comparisons"),
        ({"comparisons": [{"control": {}, "treatment": {}}]}, "An arm has either"),
        ({"comparisons": [COMPARISON] * (MOST_COMPARISONS + 1)}, "at most"),
        (
            {
                "comparisons": [
                    {
                        **COMPARISON,
                        "sequential": {"fractions": [n / 100 for n in range(1, 101)]},
                    }
                ]
                * (MOST_LOOKS // 100 + 1)
            },
            "at most",
        ),
        (
            {
                "comparisons": [
                    {
                        "control": {"n": 9, "mean": 1e-300, "variance": 0},
                        "treatment": {"n": 9, "mean": 1e100, "variance": 1},
                    }
                ]
            },
            "too large or too small",
        ),
    ],
)
def test_what_cannot_be_answered_says_why(site: Site, document: Any, says: str) -> None:
    reply = send(site, document)
    assert reply.status == 422, reply.text
    assert says in reply.json()["detail"]
