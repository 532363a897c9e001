"""Random worlds of running experiments, and the customers before them."""

from typing import Any

from hypothesis import strategies as st

from experiments.assigning.assignment import BUCKETS
from experiments.assigning.evaluation import GroupShare, RunningArm, RunningExperiment

HOLDOUT = "hold-out"
KEYS = ["price", "banner", "checkout", HOLDOUT, "search"]
ARM_KEYS = ["control", "new", "bold", "quiet"]
AUDIENCES: list[dict[str, Any]] = [
    {},
    {},
    {"plan": "pro"},
    {"orders": {"$gte": 3}},
    {"$or": [{"plan": {"$in": ["free", "pro"]}}, {"orders": {"$exists": False}}]},
]
# With arms that nobody gets, and shares of which nobody gets an arm.
WEIGHTS = [
    (5000, 5000),
    (5000, 5000),
    (1000, 9000),
    (0, BUCKETS),
    (2500, 2500, 2500, 2500),
    (1, 4999, 3000),
]
PAYLOADS = st.sampled_from([None, False, 0, "", {}, {"price": 8}, {"price": 10}, [1, "x"], "text"])
ATTRIBUTES = st.fixed_dictionaries(
    {}, optional={"plan": st.sampled_from(["free", "pro"]), "orders": st.integers(0, 5)}
)
CUSTOMERS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12)


def prerequisites(number: int) -> st.SearchStrategy[tuple[str, str]]:
    """Require later experiments; also what does not run, oneself, and round in circles."""
    keys = st.sampled_from([*KEYS[number:] * 6, *KEYS, "gone"])
    return st.tuples(keys, st.sampled_from(["control", *["new"] * 6, "bold"]))


@st.composite
def experiments(draw: st.DrawFn, key: str, number: int) -> RunningExperiment:
    # A hold-out requires nothing, and is neither paused nor halted nor decided while it holds out.
    is_holdout = key == HOLDOUT
    weights = draw(st.sampled_from(WEIGHTS))
    arms = tuple(
        RunningArm(
            id=10 * number + index,
            key=ARM_KEYS[index],
            weight=weight,
            payload=draw(PAYLOADS),
            is_control=index == 0,
            is_halted=not is_holdout and draw(st.sampled_from([False, False, True])),
        )
        for index, weight in enumerate(weights)
    )
    start = draw(st.sampled_from([0, 0, 1, 5000]))
    end = draw(st.sampled_from([start, 5000, BUCKETS, BUCKETS]))
    group = GroupShare(draw(st.sampled_from("gh")), start, end)
    required = [] if is_holdout else draw(st.lists(prerequisites(number), max_size=2))
    return RunningExperiment(
        id=number,
        key=key,
        seed=f"{key}:{draw(st.integers(0, 99))}",
        arms=arms,
        control=arms[0],
        audience=draw(st.sampled_from(AUDIENCES)),
        traffic=draw(st.sampled_from([0, 1, 5000, 9999, BUCKETS, BUCKETS, BUCKETS])),
        group=draw(st.sampled_from([None, None, group])),
        prerequisites=tuple(required),
        holdouts=frozenset(key for key, _ in required if key == HOLDOUT),
        served=None if is_holdout else draw(st.sampled_from([*[None] * 10, *arms])),
        is_paused=not is_holdout and draw(st.sampled_from([*[False] * 9, True])),
        is_holdout=is_holdout,
    )


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, RunningExperiment]:
    return {key: draw(experiments(key, number)) for number, key in enumerate(KEYS, start=1)}
