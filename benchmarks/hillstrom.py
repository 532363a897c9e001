"""What a policy learns from half of Hillstrom's e-mail experiment, judged on the other half.

    .venv/bin/python -m benchmarks.hillstrom hillstrom.csv.gz [--margin 0.3] [--cost 0.1]

64,000 customers were sent the men's e-mail, the women's or none, by chance
(https://blog.minethatdata.com/2008/03/minethatdata-e-mail-analytics-and-data.html). Three rewards:
whether somebody came within two weeks, whether they ordered, and what is left of what they spent
less what the e-mail cost. The file tells neither margin nor cost: both are assumed. The halves are
those of `manage.py hillstrom`; unlike there, to send nothing is an offer as well.

Our default bandit learns each reward from the first half's log; what it and simpler policies earn
a customer is the doubly robust estimate on the other half, with its 95% interval. Which e-mail is
the best one for all is chosen on the half that is learned from, as anybody would have to.
"""

import argparse
import os

# Before numpy: matrices this small gain nothing from threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from campaigns.deciding.draw import is_held_back
from recommender.arrays import BoolArray, FloatArray, IntArray
from recommender.bandits import load_bandit
from recommender.offpolicy.reward_model import crossfit_predictions
from recommender.offpolicy.robust import ModelledLog, doubly_robust
from recommender.offpolicy.values import PolicyValue, difference
from recommender.weighing.features import FeatureSpec
from recommender.weighing.profiling import fit_features
from recommender.weighing.propensities import floor_after

ATTRIBUTES = ["recency", "history", "mens", "womens", "newbie", "zip_code", "channel"]
OFFERS = ("Mens E-Mail", "Womens E-Mail", "No E-Mail")
FLOOR, FOLDS, SEED = 0.01, 5, 2008
READ = f"SELECT {', '.join(ATTRIBUTES)}, segment, visit, conversion, spend FROM read_csv($path)"


@dataclass(frozen=True, slots=True, eq=False)
class Mails:
    """Customers, what they were sent and did, and who of them is kept out of learning."""

    features: FeatureSpec
    x: FloatArray  # (n, d)
    offer: IntArray  # (n,)
    visits: FloatArray  # (n,)
    orders: FloatArray  # (n,)
    spend: FloatArray  # (n,)
    is_judged: BoolArray  # (n,)


def read_mails(path: Path) -> Mails:
    """Read the file; keys are numbered as by `campaigns/casestudies/hillstrom.py`."""
    rows = duckdb.execute(READ, {"path": str(path)}).fetchall()
    known = [dict(zip(ATTRIBUTES, row, strict=False)) for row in rows]
    features = fit_features(known, ATTRIBUTES)
    segment, visits, orders, spend = zip(*(row[len(ATTRIBUTES) :] for row in rows), strict=True)
    keys = (f"hillstrom-{number:05d}" for number in range(1, len(rows) + 1))
    return Mails(
        features,
        features.encode_many(known),
        np.array([OFFERS.index(name) for name in segment]),
        np.array(visits, dtype=np.float64),
        np.array(orders, dtype=np.float64),
        np.array(spend, dtype=np.float64),
        is_judged=np.array([is_held_back("hillstrom", customer_key=k, share=0.5) for k in keys]),
    )


def learn(mails: Mails, reward: FloatArray) -> FloatArray:
    """Learn from the one half; return what offers are drawn with for the other, shape (n, K)."""
    learned = ~mails.is_judged
    bandit = load_bandit("randomised_ucb")()
    sums = bandit.accumulate(
        mails.offer[learned], mails.x[learned], reward[learned], n_offers=len(OFFERS)
    )
    odds = bandit.publish(
        sums,
        offers=OFFERS,
        features=mails.features,
        floor=floor_after(FLOOR, learned=float(learned.sum())),
        version=1,
    )
    x = mails.x[mails.is_judged]
    return odds.weights_many(x, np.ones((len(x), len(OFFERS)), dtype=bool))


def judge(mails: Mails, reward: FloatArray, chances: FloatArray) -> PolicyValue:
    """Estimate what a policy earns a customer, from the half that it never saw."""
    judged = mails.is_judged
    x, offer, earned = mails.x[judged], mails.offer[judged], reward[judged]
    predicted = crossfit_predictions(
        x, offer, earned, n_actions=len(OFFERS), folds=FOLDS, seed=SEED
    )
    each = np.arange(len(x))
    value = doubly_robust(
        ModelledLog(
            rewards=earned,
            target=chances[each, offer],
            logged=np.full(len(x), 1.0 / len(OFFERS)),
            predicted_logged=predicted[each, offer],
            predicted_target=(chances * predicted).sum(axis=1),
        )
    )
    assert isinstance(value, PolicyValue), "a third of the log is of every offer"
    return value


def compare(mails: Mails, name: str, reward: FloatArray, *, unit: str) -> None:
    """Print what policies earn by one reward, and how far the learned one is ahead."""
    n = int(mails.is_judged.sum())
    means = [reward[~mails.is_judged & (mails.offer == k)].mean() for k in range(len(OFFERS) - 1)]
    best = int(np.argmax(means))
    learned = learn(mails, reward)
    policies = {
        "learned": learned,
        "all three equally often": np.full((n, len(OFFERS)), 1.0 / len(OFFERS)),
        "both e-mails equally often": np.tile([0.5, 0.5, 0.0], (n, 1)),
    }
    for place, offer in enumerate(OFFERS):
        policies[f"{offer} to all"] = np.tile(np.eye(len(OFFERS))[place], (n, 1))
    values = {label: judge(mails, reward, chances) for label, chances in policies.items()}
    shares = ", ".join(
        f"{offer} {share:.0%}" for offer, share in zip(OFFERS, learned.mean(axis=0), strict=True)
    )
    print(f"\n{name}, a customer; judged on {n:,}. The learned policy sends: {shares}")
    for label, value in values.items():
        is_best = label.startswith(OFFERS[best])
        found = (
            f"{_say(value.estimate, unit)} ({_say(value.low, unit)} to {_say(value.high, unit)})"
        )
        line = f"  {label:<28}{found:<32}"
        if label != "learned":
            ahead = difference(values["learned"], value)
            assert not hasattr(ahead, "reason")
            line += (
                f"learned {_say(ahead.estimate, unit, sign=True)} "
                f"({_say(ahead.low, unit, sign=True)} to {_say(ahead.high, unit, sign=True)})"
            )
        print(line + (", the best single e-mail" if is_best else ""), flush=True)


def _say(number: float, unit: str, *, sign: bool = False) -> str:
    form = f"{number:+.3f}" if sign else f"{number:.3f}"
    percent = f"{100 * number:+.2f}" if sign else f"{100 * number:.2f}"
    return f"{percent}%" if unit == "%" else form


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path, help="hillstrom.csv.gz")
    parser.add_argument("--margin", type=float, default=0.3, help="the share of spend that is left")
    parser.add_argument("--cost", type=float, default=0.1, help="of one e-mail, in dollars")
    asked = parser.parse_args()
    mails = read_mails(asked.file)
    compare(mails, "Visits", mails.visits, unit="%")
    compare(mails, "Orders", mails.orders, unit="%")
    is_sent = mails.offer != OFFERS.index("No E-Mail")
    left = asked.margin * mails.spend - asked.cost * is_sent
    said = f"{asked.margin:.0%} of spend less ${asked.cost:.2f} for each e-mail, in dollars"
    compare(mails, said, left, unit="$")


if __name__ == "__main__":
    main()
