"""Hold what a challenger would earn against what the running policy earns, on one log.

Both are judged on decisions that neither learned from, so the difference of their doubly robust
estimates is that of means over independent rows. It is looked at again and again, each time by new
versions: of the chance `ALPHA` of ever being wrong, look j spends 6 / (π² j²), which over all looks
comes to the whole, so that a challenger that is no better hardly ever takes over (union bound).
"""

from dataclasses import dataclass
from math import pi

import numpy as np

from recommender.arrays import BoolArray
from recommender.offpolicy.counterfactuals import Log, model_log, predict_rewards, probabilities_of
from recommender.offpolicy.robust import doubly_robust
from recommender.offpolicy.sequence_values import SequenceLog, judge_sequences, weights_of
from recommender.offpolicy.values import PolicyValue, ValueDifference, Withheld, difference
from recommender.weighing.odds import Odds

ALPHA = 0.05  # of ever being wrong about a challenger


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """What both would earn, and by how much the challenger would earn more.

    Attributes:
        champion: What the policy that decides earns.
        challenger: What the other would.
        advantage: The challenger's over the champion.
    """

    champion: PolicyValue | Withheld
    challenger: PolicyValue | Withheld
    advantage: ValueDifference | Withheld

    @property
    def is_won(self) -> bool:
        """Whether the challenger is shown to earn more."""
        return isinstance(self.advantage, ValueDifference) and self.advantage.low > 0.0


def confidence_at(look: int) -> float:
    """Return the confidence of a look, counted from 1.

    Raises:
        ValueError: There is no such look.
    """
    if look < 1:
        raise ValueError(f"Looks are counted from 1: {look}.")
    return 1.0 - 6.0 * ALPHA / (pi * look) ** 2


def fight(champion: Odds, challenger: Odds, log: Log, *, look: int) -> Duel:
    """Compare two policies, decision by decision.

    Each chooses among the offers of the log that both know.
    """
    predicted = predict_rewards(log)
    offered = log.eligible & _known_to_both(champion, challenger, log.actions)
    # Where both know none they can do nothing, and say nothing of each other.
    rows: BoolArray = np.asarray(offered.any(axis=1))
    log, offered, predicted = _take(log, rows), offered[rows], predicted[rows]
    values = [
        doubly_robust(model_log(log, probabilities_of(odds, log, offered)[0], predicted))
        for odds in (champion, challenger)
    ]
    return _to_duel(*values, look=look)


def fight_over_time(champion: Odds, challenger: Odds, log: SequenceLog, *, look: int) -> Duel:
    """Compare two policies by what customers would bring, with all that follows."""
    offered = log.eligible & _known_to_both(champion, challenger, log.actions)
    values = [
        judge_sequences(log, weights_of(odds, log, offered)) for odds in (champion, challenger)
    ]
    return _to_duel(*values, look=look)


def _to_duel(
    champion: PolicyValue | Withheld, challenger: PolicyValue | Withheld, *, look: int
) -> Duel:
    return Duel(
        champion=champion,
        challenger=challenger,
        advantage=difference(challenger, champion, confidence=confidence_at(look)),
    )


def _known_to_both(champion: Odds, challenger: Odds, actions: tuple[str, ...]) -> BoolArray:
    known = [key in champion.places and key in challenger.places for key in actions]
    return np.array(known, dtype=bool)


def _take(log: Log, rows: BoolArray) -> Log:
    return Log(
        features=log.features[rows],
        action=log.action[rows],
        eligible=log.eligible[rows],
        weights=log.weights[rows],
        propensity=log.propensity[rows],
        reward=log.reward[rows],
        actions=log.actions,
        group=None if log.group is None else log.group[rows],
    )
