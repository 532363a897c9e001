"""Decide whether a new ranker may be served: it has to beat its rivals, beyond chance."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recommender.interactions.histories import Histories
from recommender.interactions.splits import Split, split_at
from recommender.judging.judge import Judged, compare

MEASURE = "ndcg@10"
# The last part of the events, in time, is what rankers are tried on.
TRIED_PART = 0.1
# With fewer customers, hardly any difference is beyond chance.
LEAST_CUSTOMERS = 100
# A better order of the same few bestsellers is not what a ranker is for.
LEAST_COVERAGE = 0.8


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a ranker may be served, and why, in sentences for a marketer."""

    is_admitted: bool
    reasons: tuple[str, ...]


def split_for_trial(histories: Histories) -> Split:
    """Hold the newest tenth of all events back, as what customers did next.

    What they had met before is no answer, since it would not be shown again.

    Raises:
        ValueError: Too few customers came back for something new.
    """
    moment = float(np.quantile(histories.times, 1 - TRIED_PART))
    split = split_at(histories, moment)
    met = np.unique(split.asked.customers * split.asked.n_items + split.asked.items)
    came = split.answers.customers * split.answers.n_items + split.answers.items
    answers = split.answers.where(~np.isin(came, met))
    left = np.flatnonzero(answers.lengths)
    if len(left) < LEAST_CUSTOMERS:
        raise ValueError(
            f"Only {len(left)} customers did something new lately; rankers are tried on "
            f"{LEAST_CUSTOMERS} at least."
        )
    return Split(
        learned=split.learned,
        asked=split.asked.of_customers(left),
        answers=answers.of_customers(left),
        name=split.name,
    )


def admit(challenger: Judged, rivals: Mapping[str, Judged], *, seed: int = 0) -> Admission:
    """Hold a ranker against each rival, on the same customers.

    Args:
        challenger: Who wants to be served.
        rivals: Whom it has to beat, by their names in a sentence; there may be none.
        seed: Of the bootstrap.
    """
    if not rivals:
        return Admission(True, ("There is no other ranker that it would have to beat.",))
    rng = np.random.default_rng(seed)
    admitted, reasons = True, []
    for name, rival in rivals.items():
        found = compare(challenger.each[MEASURE], rival.each[MEASURE], rng=rng)
        beaten = found.is_better
        reasons.append(
            f"It {'beats' if beaten else 'does not beat'} {name}: NDCG@10 "
            f"{challenger.means[MEASURE]:.4f} against {rival.means[MEASURE]:.4f}, a difference of "
            f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f}, p = {found.p_value:.2g})."
        )
        covered, before = challenger.overall["coverage"], rival.overall["coverage"]
        broad = covered >= LEAST_COVERAGE * before
        if not broad:
            reasons.append(
                f"It shows {covered:.0%} of all products and {name} {before:.0%}: less than "
                f"{LEAST_COVERAGE:.0%} of that is too few."
            )
        admitted &= beaten and broad
    return Admission(admitted, tuple(reasons))
