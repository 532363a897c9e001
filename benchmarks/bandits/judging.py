"""Hold what the site logged against what clients did, and a policy's estimate against the truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from psycopg.rows import dict_row

from benchmarks.bandits.world import CAMPAIGN, OFFERS, Customer, target_policy, true_value
from experiments.assigning.assignment import BUCKETS, quantise
from recommender.offpolicy.values import PolicyValue
from recommender.offpolicy.weighting import ips
from recommender.weighing.leaves import Leaves

DECISIONS = """
    SELECT customer.external_key AS customer, decision.policy_version, decision.offer,
           decision.propensity, decision.eligible, decision.weights, reward.value
    FROM recommender_decision AS decision
    JOIN audience_customer AS customer ON customer.id = decision.customer_id
    JOIN recommender_reward AS reward ON reward.decision_id = decision.id
    WHERE decision.policy_version = 1 AND decision.campaign = %s
"""
COUNTS = """
    SELECT (SELECT count(*) FROM experiments_exposure) AS n_exposures,
           (SELECT count(*) FROM audience_rejectedevent) AS n_refused
"""
LEAVES = "SELECT leaf.table FROM recommender_policyleaves AS leaf WHERE leaf.version = 1"


@dataclass(frozen=True, slots=True)
class Log:
    """What the site has: decisions by leaves, by customer, and the leaves.

    Besides, how many decisions there are, how many customers met an arm, and how many events were
    refused.
    """

    decisions: Mapping[str, Mapping[str, Any]]
    leaves: Leaves
    n_decisions: int
    n_exposures: int
    n_refused: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """An estimate of a policy's value beside the truth."""

    n: int
    estimate: float
    standard_error: float
    truth: float

    @property
    def z(self) -> float:
        """How many standard errors lie between the two."""
        return (self.estimate - self.truth) / self.standard_error


def read_log(database_url: str) -> Log:
    """Read what was logged."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        rows = connection.execute(DECISIONS, [CAMPAIGN]).fetchall()
        table = connection.execute(LEAVES).fetchone()
        counts = connection.execute(COUNTS).fetchone()
    assert table is not None
    assert counts is not None
    decisions = {row["customer"]: row for row in rows}
    return Log(decisions, Leaves.from_json(table["table"]), len(rows), **counts)


def is_right(log: Log, customer: Customer, offer: str | None) -> bool:
    """Tell whether a customer's decision has the offer that was shown, by exactly its leaf."""
    decision = log.decisions.get(customer.id)
    if decision is None or offer is None:
        return False
    weights = log.leaves.find(customer.attributes).weights
    shares = (quantise(np.array(weights)) / BUCKETS).tolist()
    expected = {
        "policy_version": 1,
        "offer": offer,
        "eligible": list(OFFERS),
        "weights": shares,
        "propensity": shares[OFFERS.index(offer)],
    }
    return all(decision[name] == value for name, value in expected.items())


def judge_target(log: Log, customers: Sequence[Customer]) -> Judgement:
    """Estimate the known policy's value from the log (IPS), and work out what it is."""
    judged = [customer for customer in customers if customer.id in log.decisions]
    rows = [log.decisions[customer.id] for customer in judged]
    target = [
        target_policy(customer.attributes)[OFFERS.index(row["offer"])]
        for customer, row in zip(judged, rows, strict=True)
    ]
    value = ips(
        np.array([row["value"] for row in rows]),
        np.array(target),
        np.array([row["propensity"] for row in rows]),
    )
    if not isinstance(value, PolicyValue):
        raise SystemExit(f"Nothing can be estimated: {value.reason}")
    error = float(value.scores.influence.std(ddof=1)) / len(rows) ** 0.5
    return Judgement(len(rows), value.estimate, error, true_value(judged))
