"""On ZOZOTOWN's own logs: a sampler's value from random impressions, against its own clicks."""

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest

from recommender.arrays import FloatArray
from recommender.offpolicy.intervals import bootstrap_interval
from recommender.offpolicy.values import PolicyValue
from recommender.offpolicy.weighting import ips, snips
from tests.recommender.offpolicy.logs import shown

Values = tuple[PolicyValue, PolicyValue, float]

# From the reference results beside the data: 100,000 draws of the published prior.
KNOWN = {"all": (0.00455288, 0.00477583308123), "men": (0.00453356, 0.00460423216435)}


def read(path: Path) -> dict[str, FloatArray]:
    """Positions from 0 on, items, clicks and propensities of one policy's impressions."""
    columns = "position - 1 AS position, item_id, click, propensity_score"
    with duckdb.connect() as database:
        return database.execute(f"SELECT {columns} FROM read_parquet(?)", [str(path)]).fetchnumpy()


@pytest.fixture(params=KNOWN)
def campaign(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def values(campaign: str, shared_file: Callable[[str], Path]) -> Values:
    """By IPS and SNIPS from the random log, and the sampler's own click rate."""
    log = read(shared_file(f"data/obd_random_{campaign}.parquet"))
    own = read(shared_file(f"data/obd_bts_{campaign}.parquet"))
    chances = np.array(
        json.loads(shared_file(f"data/obd_bts_action_dist_{campaign}.json").read_text())
    )  # (K, L)
    target = chances[log["item_id"], log["position"]]
    clicks, logged = log["click"].astype(float), log["propensity_score"]
    return (
        shown(ips(clicks, target, logged)),
        shown(snips(clicks, target, logged)),
        float(own["click"].mean()),
    )


def test_estimates_are_those_that_were_worked_out_before(campaign: str, values: Values) -> None:
    weighted, normalised, _ = values
    assert (weighted.estimate, normalised.estimate) == pytest.approx(KNOWN[campaign], rel=1e-9)


def test_bootstrapped_intervals_hold_what_the_sampler_really_earned(values: Values) -> None:
    weighted, normalised, earned = values
    for value in (weighted, normalised):
        interval = bootstrap_interval(value, seed=1, resamples=500)
        assert interval.low < earned < interval.high
