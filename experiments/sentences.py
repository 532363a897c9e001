"""Says what a comparison found, in the sentences that a verdict is made of."""

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.looks import Look
from experiments.plan import Monitoring
from experiments.stats.estimate import Estimate
from experiments.wording import Unit, say_difference, say_lift, say_list, say_values


@dataclass(frozen=True, slots=True)
class Goal:
    """The metric that decides: its name as a noun ("visits"), its unit and its good direction."""

    noun: str
    unit: Unit
    higher_is_better: bool = True


def say_change(estimate: Estimate, *, goal: Goal) -> str:
    """Say from what to what the goal moved, and by how much."""
    before, after = say_values(estimate.control_mean, estimate.treatment_mean, unit=goal.unit)
    moved = "rose" if estimate.direction == "up" else "fell"
    change, low, high = say_effect(estimate, goal=goal)
    noun = lower_first(goal.noun)
    return f"{noun} {moved} from {before} to {after} ({change}, between {low} and {high})"


def say_effect(estimate: Estimate, *, goal: Goal) -> tuple[str, str, str]:
    """Say the effect and its interval: as a lift where there is one, else as a difference."""
    if estimate.relative is not None and (interval := estimate.relative_interval) is not None:
        return say_lift(estimate.relative), say_lift(interval.low), say_lift(interval.high)
    change, low, high = (
        say_difference(value, unit=goal.unit)
        for value in (
            estimate.difference,
            estimate.difference_interval.low,
            estimate.difference_interval.high,
        )
    )
    return change, low, high


def say_flat(estimates: Sequence[tuple[str, Estimate]], *, control: str, goal: Goal) -> str:
    """Say that nothing was found, and what could still hide."""
    possible = []
    for label, estimate in estimates:
        _, low, high = say_effect(estimate, goal=goal)
        possible.append(f"between {low} and {high} for {label}")
    noun = lower_first(goal.noun)
    # Its own interval then excludes zero, which would contradict a plain "no difference".
    is_hint = any(estimate.is_significant for _, estimate in estimates)
    limit = " that holds up among all the arms compared" if is_hint else ""
    return (
        f"No difference from {control} was found in {noun}{limit}. "
        f"A true change is still possible: {say_list(possible)}."
    )


def lower_first(words: str) -> str:
    """Start a phrase small inside a sentence, but leave CTR and iPhone alone."""
    if len(words) > 1 and words[1].islower():
        return words[0].lower() + words[1:]
    return words


_SPENT = {"obrien_fleming": "O'Brien-Fleming", "pocock": "Pocock", "power": "power"}
_WHEN = {"obrien_fleming": "late", "pocock": "evenly", "power": "more and more quickly"}


def say_basis(comparisons: int, confidence: float, *, look: Look, monitoring: Monitoring) -> str:
    """Say by which rule it was decided."""
    error = 1 - confidence
    shared = "" if comparisons == 1 else f", shared equally by {comparisons} arms (Bonferroni)"
    if monitoring.rule == "confidence_sequence":
        return (
            f"Decided by a confidence sequence at {100 * look.fraction:.3g}% of the planned size: "
            f"it holds at every look, for ever, with an error of {error:.2g} in all{shared}. The "
            "interval in the sentence is the sequence's; those in the tables are of a single look."
        )
    if look.number > 1 or look.is_early:
        return (
            f"Decided at look {look.number}, at {100 * look.fraction:.3g}% of the planned size, by "
            f"boundaries that allow for every look: {error:.2g} in all{shared}, spent "
            f"{_WHEN[monitoring.benefit]} for benefit ({_SPENT[monitoring.benefit]}) and "
            f"{_WHEN[monitoring.harm]} for harm ({_SPENT[monitoring.harm]}). The interval in the "
            "sentence allows for the looks too; those in the tables are of a single look."
        )
    if comparisons == 1:
        return f"Decided at p < {error:.2g}, once, at the planned end."
    return (
        f"Decided at p < {error / comparisons:.2g} for each of {comparisons} arms, which is "
        f"{error:.2g} shared equally (Bonferroni), once, at the planned end. Each interval holds "
        f"at {100 * confidence:.3g}%, on its own. "
        "Arms are compared with the control, not with each other."
    )
