"""The first experiment that sends a customer elsewhere does, and only that one runs."""

from typing import Any

from experiments.growthbook.context import Context
from experiments.growthbook.evaluator import Evaluator
from experiments.growthbook.redirects import find_redirect

HOME = "https://shop.example/home?x=1"


def experiment(key: str, target: str | None, *, page: str = "/home", **more: Any) -> dict[str, Any]:
    """Send everybody on a page to a target, or nowhere."""
    return {
        "key": key,
        "variations": [{}, {"urlRedirect": target} if target else {}],
        "ranges": [[0, 0], [0, 1]],
        "urlPatterns": [{"type": "simple", "pattern": page}],
        **more,
    }


def find(*experiments: dict[str, Any]) -> tuple[str | None, list[str]]:
    """Return where the customer is sent, and which experiments ran."""
    evaluator = Evaluator(Context(attributes={"id": "ada"}, url=HOME))
    found = find_redirect(evaluator, experiments, HOME)
    target = found.url if found else None
    return target, [track["experiment"]["key"] for track in evaluator.tracks]


def test_the_first_redirect_is_followed_and_the_rest_do_not_run() -> None:
    target = "https://shop.example/new"
    experiments = (
        experiment("elsewhere", target, page="/cart"),
        experiment("stays", None),
        experiment("first", target),
        experiment("second", target),
    )
    assert find(*experiments) == (target, ["stays", "first"])


def test_parameters_come_along_where_they_are_wanted() -> None:
    target, _ = find(experiment("e", "https://shop.example/new", persistQueryString=True))
    assert target == "https://shop.example/new?x=1"


def test_nobody_is_sent_round_in_circles() -> None:
    assert find(experiment("e", "https://shop.example/home?new=1")) == (None, ["e"])


def test_who_is_in_no_experiment_stays() -> None:
    assert find() == (None, [])
