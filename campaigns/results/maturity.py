"""Says how far the rewards of a campaign's recent decisions are, in words, a picture and JSON."""

from dataclasses import dataclass
from typing import Any

from campaigns.results.page import say_time
from experiments.charts import Chart, arrivals_chart
from experiments.wording import say_value
from recommender.models import Policy
from recommender.rewards.arrivals import Maturity
from recommender.rewards.settling import landmarks_of

UNITS = ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"))


@dataclass(frozen=True, slots=True)
class MaturityPage:
    """How far rewards are, ready for the template."""

    sentence: str
    basis: str
    chart: Chart


def to_maturity_page(maturity: Maturity, policy: Policy) -> MaturityPage:
    """Turn what is awaited into what the template shows."""
    window, curve = policy.reward_window_seconds, maturity.curve
    unit = next((unit for unit in UNITS if window >= 2 * unit[0]), UNITS[-1])
    learned_at = [(float(age), share) for _, age, share in landmarks_of(policy)]
    chart = arrivals_chart(
        curve.ages,
        curve.arrived,
        marks=[*learned_at, (float(window), curve.at(window))],
        unit=unit,
        title="How much of the reward has come, by the age of a decision",
        say=lambda age: say_time(round(age)),
    )
    share = say_value(min(maturity.arrived, 1.0), unit="percent")
    return MaturityPage(
        sentence=f"About {share} of what {maturity.waiting:,} decisions will have earned when "
        f"their {say_time(window)} are over is expected to have come.",
        basis=f"From how the rewards of {curve.earned:,} settled decisions that earned something "
        "came. Dots are the ages at which a decision teaches the policy."
        + (" More than all has come where orders are taken back later." * (max(curve.arrived) > 1)),
        chart=chart,
    )


def to_json(maturity: Maturity | None) -> dict[str, Any] | None:
    """Write it for the API; None while nothing is awaited, or nobody can tell."""
    if maturity is None:
        return None
    return {
        "waiting": maturity.waiting,
        "arrived": maturity.arrived,
        "curve": maturity.curve.to_json(),
    }
