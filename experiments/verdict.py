"""Says in one sentence what an experiment found, and what to do next."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from experiments.health.base import Finding
from experiments.looks import Look, judge, take_look, widen
from experiments.stats.estimate import Estimate, Inconclusive, Interval, Result
from experiments.wording import Unit, say_difference, say_lift, say_list, say_values

Kind = Literal["win", "loss", "flat", "early", "unsound", "empty"]


@dataclass(frozen=True, slots=True)
class Goal:
    """The metric that decides: its name as a noun ("visits"), its unit and its good direction."""

    noun: str
    unit: Unit
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True)
class ArmResult:
    """One treatment arm and how it compares with the control on the goal."""

    label: str
    result: Result


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an experiment is; `planned` is None when no size was planned."""

    customers: int
    planned: int | None
    is_running: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an experiment found.

    Attributes:
        sentence: The finding, for people who would rather look than read.
        kind: The same in one word, for colour and icon.
        next_step: What to do about it.
        basis: How it was decided, for people who ask; empty when nothing was.
        look: The fraction of the planned size at which it was judged; None when it was not.
    """

    sentence: str
    kind: Kind
    next_step: str
    basis: str = ""
    look: float | None = None


def reach_verdict(
    arms: Sequence[ArmResult],
    *,
    control: str,
    goal: Goal,
    findings: Sequence[Finding],
    progress: Progress,
    earlier_looks: Sequence[float] = (),
) -> Verdict:
    """Judge an experiment on its goal, at one look out of several.

    An arm wins when it crosses the boundary that allows for all looks and all arms, in the goal's
    good direction; of several such arms the best estimate wins. Before the planned size nothing
    is said to be flat, and one losing arm of several decides nothing. A blocking finding, too few
    customers or no estimate come first and give no verdict.

    Args:
        arms: Every treatment arm.
        control: The control's label.
        goal: The metric that decides.
        findings: What the health checks found.
        progress: Customers so far and planned.
        earlier_looks: The fractions of the planned size at the looks before this one.
    """
    if blocked := _say_blocked(findings):
        return blocked
    estimates = [(arm.label, arm.result) for arm in arms if isinstance(arm.result, Estimate)]
    if not estimates:
        return _say_empty(arms)
    confidence = estimates[0][1].confidence
    look = _look_now(progress, earlier_looks, comparisons=len(arms), confidence=confidence)
    if look is None:
        return _say_early(progress)
    standing = _rank(estimates, look, goal=goal)
    if look.is_early and not standing.better and len(standing.worse) < len(arms):
        return replace(_say_early(progress), look=look.fraction)
    decided = _decide(standing, control=control, goal=goal, unlike=_say_incomparable(arms))
    basis = _say_basis(len(arms), confidence, look=look)
    return replace(decided, basis=basis, look=look.fraction)


@dataclass(frozen=True, slots=True)
class _Standing:
    """The arms with an estimate, the best first: all, and those that crossed a boundary."""

    ranked: Sequence[tuple[str, Estimate]]
    better: Sequence[tuple[str, Estimate]]
    worse: Sequence[tuple[str, Estimate]]


def _rank(estimates: Sequence[tuple[str, Estimate]], look: Look, *, goal: Goal) -> _Standing:
    """Order the arms and see which have crossed a boundary, with intervals that agree."""
    sign = 1 if goal.higher_is_better else -1
    ranked = sorted(estimates, key=lambda arm: sign * arm[1].difference, reverse=True)
    judged = [judge(e, look, higher_is_better=goal.higher_is_better) for _, e in ranked]
    if look.number > 1 or look.is_early:
        ranked = [(label, _widened(estimate, look, goal=goal)) for label, estimate in ranked]
    found = list(zip(ranked, judged, strict=True))
    return _Standing(
        ranked,
        better=[arm for arm, side in found if side == "better"],
        worse=[arm for arm, side in found if side == "worse"],
    )


def _decide(standing: _Standing, *, control: str, goal: Goal, unlike: str) -> Verdict:
    """Say who won, lost, or that nobody did."""
    better, worse = standing.better, standing.worse
    others = (
        _mention(better[1:], "also beats", "also beat", control=control)
        + _mention(
            worse if better else worse[:-1], "does worse than", "do worse than", control=control
        )
        + unlike
    )
    if better:
        label, estimate = better[0]
        best = standing.ranked[0][0]
        next_step = f"Give {label} to everyone."
        if best != label:
            next_step += (
                f" {best} measured better still, but not surely better than {control}:"
                " it needs more customers."
            )
        sentence = f"{label} wins: {_say_change(estimate, goal=goal)}.{others}"
        return Verdict(sentence, "win", next_step)
    if worse:
        label, estimate = worse[-1]
        sentence = f"{label} loses: {_say_change(estimate, goal=goal)}.{others}"
        return Verdict(sentence, "loss", f"Keep {control}; no arm did better.")
    return Verdict(
        _say_flat(standing.ranked, control=control, goal=goal) + others,
        "flat",
        f"Keep {control}, or plan a larger experiment if a change this small would matter.",
    )


def _say_blocked(findings: Sequence[Finding]) -> Verdict | None:
    for finding in findings:
        if finding.severity == "blocking":
            title = _lower_first(finding.title)
            return Verdict(f"Do not trust these numbers: {title}.", "unsound", finding.detail)
    return None


def _look_now(
    progress: Progress, earlier: Sequence[float], *, comparisons: int, confidence: float
) -> Look | None:
    """Look, unless it is too soon after the last look, or nothing says when the end is."""
    if progress.planned is None:
        fraction = 0.0 if progress.is_running else 1.0
    else:
        fraction = progress.customers / progress.planned
    return take_look(fraction, earlier, comparisons=comparisons, confidence=confidence)


def _widened(estimate: Estimate, look: Look, *, goal: Goal) -> Estimate:
    """Give an estimate the intervals that hold over all looks."""

    def holding(interval: Interval, *, is_lift: bool) -> Interval:
        return widen(
            interval,
            look,
            confidence=estimate.confidence,
            is_lift=is_lift,
            higher_is_better=goal.higher_is_better,
        )

    lift = estimate.relative_interval
    return replace(
        estimate,
        difference_interval=holding(estimate.difference_interval, is_lift=False),
        relative_interval=None if lift is None else holding(lift, is_lift=True),
    )


def _say_empty(arms: Sequence[ArmResult]) -> Verdict:
    reasons = [arm.result.reason for arm in arms if isinstance(arm.result, Inconclusive)]
    sentence = reasons[0] if reasons else "No arm is compared with the control."
    return Verdict(f"Nothing to read yet. {sentence}", "empty", "Come back when data have arrived.")


def _say_early(progress: Progress) -> Verdict:
    """Give no verdict yet, because looks add up to false winners."""
    customers, planned = progress.customers, progress.planned
    if planned is None:
        return Verdict(
            f"An early look at {customers:,} customers, with no verdict: no size was planned.",
            "early",
            "Stop the experiment on a date set beforehand, then read the verdict.",
        )
    sentence = (
        f"An early look, with no verdict: {customers:,} of {planned:,} planned customers have come."
    )
    if progress.is_running:
        return Verdict(sentence, "early", "Wait: early differences often vanish.")
    return Verdict(
        f"{sentence} The experiment was stopped before its planned size.",
        "early",
        "Repeat it at full size if the answer matters.",
    )


def _say_change(estimate: Estimate, *, goal: Goal) -> str:
    before, after = say_values(estimate.control_mean, estimate.treatment_mean, unit=goal.unit)
    moved = "rose" if estimate.direction == "up" else "fell"
    change, low, high = _say_effect(estimate, goal=goal)
    noun = _lower_first(goal.noun)
    return f"{noun} {moved} from {before} to {after} ({change}, between {low} and {high})"


def _say_effect(estimate: Estimate, *, goal: Goal) -> tuple[str, str, str]:
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


def _say_flat(estimates: Sequence[tuple[str, Estimate]], *, control: str, goal: Goal) -> str:
    """Say that nothing was found, and what could still hide."""
    possible = []
    for label, estimate in estimates:
        _, low, high = _say_effect(estimate, goal=goal)
        possible.append(f"between {low} and {high} for {label}")
    noun = _lower_first(goal.noun)
    # Its own interval then excludes zero, which would contradict a plain "no difference".
    is_hint = any(estimate.is_significant for _, estimate in estimates)
    limit = " that holds up among all the arms compared" if is_hint else ""
    return (
        f"No difference from {control} was found in {noun}{limit}. "
        f"A true change is still possible: {say_list(possible)}."
    )


def _mention(arms: Sequence[tuple[str, Estimate]], one: str, several: str, *, control: str) -> str:
    """Name arms that are clear too but are not the headline."""
    if not arms:
        return ""
    names = say_list([label for label, _ in arms])
    return f" {names} {one if len(arms) == 1 else several} {control}."


def _say_incomparable(arms: Sequence[ArmResult]) -> str:
    return "".join(
        f" {arm.label} could not be compared: {_lower_first(arm.result.reason)}"
        for arm in arms
        if isinstance(arm.result, Inconclusive)
    )


def _say_basis(comparisons: int, confidence: float, *, look: Look) -> str:
    error = 1 - confidence
    if look.number > 1 or look.is_early:
        shared = "" if comparisons == 1 else f", shared equally by {comparisons} arms (Bonferroni)"
        return (
            f"Decided at look {look.number}, at {100 * look.fraction:.3g}% of the planned size, by "
            f"boundaries that allow for every look: {error:.2g} in all{shared}, spent late for "
            "benefit (O'Brien-Fleming) and evenly for harm (Pocock). The interval in the sentence "
            "allows for the looks too; those in the tables are of a single look."
        )
    if comparisons == 1:
        return f"Decided at p < {error:.2g}, once, at the planned end."
    return (
        f"Decided at p < {error / comparisons:.2g} for each of {comparisons} arms, which is "
        f"{error:.2g} shared equally (Bonferroni), once, at the planned end. Each interval holds "
        f"at {100 * confidence:.3g}%, on its own. "
        "Arms are compared with the control, not with each other."
    )


def _lower_first(words: str) -> str:
    """Start a phrase small inside a sentence, but leave CTR and iPhone alone."""
    if len(words) > 1 and words[1].islower():
        return words[0].lower() + words[1:]
    return words
