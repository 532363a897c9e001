"""Hold a report of the simulated shop against the truth that was planted in it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from campaigns.models import Campaign
from experiments.stats.estimate import Estimate, Interval, result_from_json
from experiments.wording import say_lift, say_list, say_value
from recommender.models import Decision
from recommender.simulators.shop import Shop


@dataclass(frozen=True, slots=True)
class Claim:
    """A number of the report with its 95% interval, and the planted number."""

    name: str
    measured: float
    interval: Interval
    planted: float
    is_lift: bool = False

    @property
    def is_true(self) -> bool:
        """Whether the interval covers the truth."""
        return self.planted in self.interval


def check_report(campaign: Campaign, shop: Shop) -> list[Claim]:
    """Compare the goal of the last analysis, arm by arm and lift by lift, with the truth.

    Expected conversions are those of the shoppers who came, given the offers that they were
    shown: the simulator knows each one's probability. The lift of offers over no offer is exact.

    Raises:
        ValueError: The analysis holds no estimates, because too few shoppers have come.
    """
    goal = campaign.experiment.analyses.latest().report["metrics"][0]
    policy, holdout = (
        result_from_json(goal["results"][arm]) for arm in ("personalised", "hold-out")
    )
    if not (isinstance(policy, Estimate) and isinstance(holdout, Estimate)):
        raise ValueError("Too few shoppers came and ordered to compare the arms.")
    lift = holdout.relative_interval
    # Without orders in the hold-out the lift over it has no upper end.
    if policy.relative_interval is None or lift is None or lift.low <= -1:
        raise ValueError("Too few shoppers ordered to say a lift.")
    expected = expected_conversions(campaign, shop)
    # The report says how the hold-out compares with the control; turned round, the log-ratio
    # interval of the lift stays what it is.
    turned = Interval(1 / (1 + lift.high) - 1, 1 / (1 + lift.low) - 1)
    return [
        Claim(
            "conversion, hold-out",
            holdout.treatment_mean,
            holdout.treatment_interval,
            expected["hold-out"],
        ),
        Claim(
            "conversion, control",
            policy.control_mean,
            policy.control_interval,
            expected["control"],
        ),
        Claim(
            "conversion, personalised",
            policy.treatment_mean,
            policy.treatment_interval,
            expected["personalised"],
        ),
        Claim(
            "lift, control over hold-out",
            holdout.control_mean / holdout.treatment_mean - 1,
            turned,
            shop.lift_uniform_over_none,
            is_lift=True,
        ),
        Claim(
            "lift, personalised over control",
            policy.treatment_mean / policy.control_mean - 1,
            policy.relative_interval,
            expected["personalised"] / expected["control"] - 1,
            is_lift=True,
        ),
    ]


def expected_conversions(campaign: Campaign, shop: Shop) -> Mapping[str, float]:
    """Return each arm's mean order probability, given what was shown at the first visit."""
    numbers = {shop.shopper(n).key: n for n in range(campaign.experiment.planned_customers)}
    first: dict[str, tuple[str, str | None]] = {}
    decisions = Decision.objects.filter(campaign=campaign.key).order_by("id")
    for key, arm, offer in decisions.values_list("customer__external_key", "arm", "offer"):
        if key in numbers:
            first.setdefault(key, (arm, offer))
    by_arm: dict[str, list[float]] = {}
    for key, (arm, offer) in first.items():
        shopper = shop.shopper(numbers[key])
        by_arm.setdefault(arm, []).append(shop.order_probability(shopper, offer))
    return {arm: float(np.mean(probabilities)) for arm, probabilities in by_arm.items()}


def say_claims(claims: Sequence[Claim], shop: Shop) -> Iterator[str]:
    """Yield the comparison line by line, and what it comes to."""
    yield "Was the report right? A simulation knows the truth that was planted in it:"
    yield f"  {'':<32} {'measured':>8}  {'95% interval':<18} {'planted':>8}"
    for claim in claims:
        low, high = (_say(end, claim) for end in (claim.interval.low, claim.interval.high))
        verdict = "covered" if claim.is_true else "MISSED"
        yield (
            f"  {claim.name:<32} {_say(claim.measured, claim):>8}  {f'{low} to {high}':<18} "
            f"{_say(claim.planted, claim):>8}  {verdict}"
        )
    missed = [claim.name for claim in claims if not claim.is_true]
    if missed:
        yield (
            f"Missed: {say_list(missed)}. Each interval misses once in 20 times, so this happens; "
            "if it happens often, something is wrong."
        )
    else:
        yield "Every interval covers the truth; each one misses once in 20 times."
    best, uniform = (
        say_value(rate, unit="percent") for rate in (shop.conversion_best, shop.conversion_uniform)
    )
    yield f"(With offers at random {uniform} of shoppers order, with perfect ones {best}.)"


def _say(value: float, claim: Claim) -> str:
    return say_lift(value) if claim.is_lift else say_value(value, unit="percent")
