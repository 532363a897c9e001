"""Says what an experiment found and what to do next: a pure function of its plan and results."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from experiments.health.base import Finding
from experiments.looks import Look, take_look, widen
from experiments.plan import Monitoring
from experiments.sentences import Goal, lower_first, say_basis, say_change, say_flat
from experiments.standing import ArmResult, Guardrail, Standing, find_standing
from experiments.stats.estimate import Estimate, Inconclusive, Interval
from experiments.wording import say_list

Kind = Literal["win", "loss", "flat", "early", "unsound", "empty"]
Code = Literal["ship", "do not ship", "keep running", "stop: harm", "inconclusive at the end"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an experiment is.

    Attributes:
        customers: Who took part so far.
        planned: How many are to; None when no size was planned.
        is_running: Whether customers still come.
        days: How long it has run.
        minimum_days: Before that nothing is said to win, though harm is.
    """

    customers: int
    planned: int | None
    is_running: bool
    days: float = 0.0
    minimum_days: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an experiment found.

    Attributes:
        sentence: The finding, for people who would rather look than read.
        kind: The same in one word, for colour and icon.
        code: What to do, for programs; an untrustworthy experiment must not be shipped.
        next_step: What to do about it, in words.
        basis: How it was decided, for people who ask; empty when nothing was.
        look: The fraction of the planned size at which it was judged; None when it was not.
        harmful: The arms that surely do harm, to be stopped whatever the others do.
    """

    sentence: str
    kind: Kind
    code: Code
    next_step: str
    basis: str = ""
    look: float | None = None
    harmful: tuple[str, ...] = ()


def reach_verdict(  # noqa: PLR0913 - the whole of an experiment decides
    arms: Sequence[ArmResult],
    *,
    control: str,
    goal: Goal,
    findings: Sequence[Finding],
    progress: Progress,
    guardrails: Sequence[Guardrail] = (),
    earlier_looks: Sequence[float] = (),
    confidence: float = 0.95,
    monitoring: Monitoring = Monitoring(),  # noqa: B008 - frozen
) -> Verdict:
    """Judge an experiment at one look out of several.

    The ship rule: an arm ships when it crosses the goal's boundary for benefit, harms no guardrail
    and is shown to keep every margin; of several such arms the best estimate. An arm that crosses
    a boundary for harm, on the goal or on a guardrail, is harmful; the experiment stops for harm
    when all its arms are. Short of that nothing is decided before the planned end. A blocking
    finding, or no estimate at all, come first and give no verdict.

    Args:
        arms: Every treatment arm.
        control: The control's label.
        goal: The metric that decides.
        findings: What the health checks found.
        progress: How far it is.
        guardrails: What must not be harmed; every arm has a result for each.
        earlier_looks: The fractions of the planned size at the looks before this one.
        confidence: One minus the error allowed.
        monitoring: How looks are paid for.
    """
    if blocked := _say_blocked(findings):
        return blocked
    if not any(isinstance(arm.result, Estimate) for arm in arms):
        return _say_empty(arms)

    def look_at(comparisons: int) -> Look | None:
        return _look_now(
            progress,
            earlier_looks,
            comparisons=comparisons,
            confidence=confidence,
            monitoring=monitoring,
        )

    look = look_at(len(arms))
    if look is None:
        return _say_early(progress)
    harm_look = look_at(len(arms) * len(guardrails)) if guardrails else None
    standings = [
        find_standing(
            arm,
            goal_higher_is_better=goal.higher_is_better,
            guardrails=guardrails,
            goal_look=look,
            harm_look=harm_look,
        )
        for arm in arms
    ]
    said = _Saying(_rank(standings, look, goal=goal), control, goal, _say_incomparable(arms))
    basis = say_basis(len(arms), confidence, look=look, monitoring=monitoring)
    verdict = _decide(said, look=look, progress=progress)
    return replace(
        verdict,
        basis=basis if verdict.code != "keep running" or verdict.harmful else "",
        look=look.fraction,
    )


@dataclass(frozen=True, slots=True)
class _Saying:
    """What there is to say: the arms with the best first, and how things are called."""

    standings: Sequence[Standing]
    control: str
    goal: Goal
    incomparable: str

    @property
    def estimates(self) -> list[tuple[str, Estimate]]:
        return [(s.label, s.estimate) for s in self.standings if s.estimate is not None]

    @property
    def better(self) -> list[Standing]:
        return [s for s in self.standings if s.goal == "better"]

    @property
    def harmful(self) -> list[Standing]:
        return [s for s in self.standings if s.is_harmful]


def _rank(standings: Sequence[Standing], look: Look, *, goal: Goal) -> list[Standing]:
    """Order the arms with an estimate, the best first, and give them intervals that agree."""
    sign = 1 if goal.higher_is_better else -1
    known = [(s, s.estimate) for s in standings if s.estimate is not None]
    known.sort(key=lambda pair: sign * pair[1].difference, reverse=True)
    is_plain = look.number == 1 and not look.is_early
    ranked = [
        s if is_plain else replace(s, estimate=_widened(estimate, look, goal=goal))
        for s, estimate in known
    ]
    return [*ranked, *(s for s in standings if s.estimate is None)]


def _decide(said: _Saying, *, look: Look, progress: Progress) -> Verdict:
    """Apply the ship rule."""
    harmful = tuple(s.label for s in said.harmful)
    is_too_soon = progress.days < progress.minimum_days
    shippable = [s for s in said.standings if s.can_ship]
    if shippable and not is_too_soon:
        return replace(_say_win(said, shippable[0]), harmful=harmful)
    if len(harmful) == len(said.standings):
        return replace(_say_harm(said), harmful=harmful)
    if look.is_early or is_too_soon:
        return replace(_say_waiting(said, progress), harmful=harmful)
    if said.better:
        return replace(_say_unsafe(said, said.better[0]), harmful=harmful)
    if harmful:
        return replace(_say_harm(said), code="do not ship", harmful=harmful)
    sentence = say_flat(said.estimates, control=said.control, goal=said.goal) + said.incomparable
    return Verdict(
        sentence,
        "flat",
        "inconclusive at the end",
        f"Keep {said.control}, or plan a larger experiment if a change this small would matter.",
    )


def _say_win(said: _Saying, winner: Standing) -> Verdict:
    assert winner.estimate is not None
    others = (
        _mention([s.label for s in said.better if s is not winner], "also beat", said.control)
        + _mention([s.label for s in said.standings if s.goal == "worse"], "do", said.control)
        + _tell_harm(said.standings)
        + said.incomparable
    )
    best = said.standings[0].label
    next_step = f"Give {winner.label} to everyone."
    if best != winner.label and not said.standings[0].is_harmful:
        next_step += (
            f" {best} measured better still, but not surely better than {said.control}:"
            " it needs more customers."
            if said.standings[0].goal != "better"
            else f" {best} measured better still, but is not shown to be safe."
        )
    sentence = f"{winner.label} wins: {say_change(winner.estimate, goal=said.goal)}.{others}"
    return Verdict(sentence, "win", "ship", next_step)


def _say_harm(said: _Saying) -> Verdict:
    """Say which arms do harm: the worst on the goal first, then those that hurt a guardrail."""
    losers = [s for s in said.standings if s.goal == "worse"]
    if not losers:
        told = _tell_harm(said.standings)
        return Verdict(
            told.strip() + said.incomparable,
            "loss",
            "stop: harm",
            f"Keep {said.control}; stop the arms that do harm.",
        )
    worst = losers[-1]
    assert worst.estimate is not None
    others = (
        _mention([s.label for s in losers[:-1]], "do", said.control)
        + _tell_harm(said.standings)
        + said.incomparable
    )
    sentence = f"{worst.label} loses: {say_change(worst.estimate, goal=said.goal)}.{others}"
    return Verdict(sentence, "loss", "stop: harm", f"Keep {said.control}; no arm did better.")


def _say_unsafe(said: _Saying, best: Standing) -> Verdict:
    """Say that an arm does good and must not be shipped all the same."""
    assert best.estimate is not None
    unproven = say_list([lower_first(noun) for noun in best.unproven])
    doubt = f" It is not shown that it keeps {unproven} within the margin." if unproven else ""
    return Verdict(
        f"{best.label} is better, but not safe: {say_change(best.estimate, goal=said.goal)}."
        f"{doubt}{_tell_harm(said.standings)}{said.incomparable}",
        "loss" if best.harmed else "flat",
        "do not ship",
        f"Keep {said.control}, or repeat the experiment with more customers to prove it safe.",
    )


def _say_waiting(said: _Saying, progress: Progress) -> Verdict:
    """Give no verdict yet, but tell of harm at once."""
    verdict = _say_early(progress)
    if not said.harmful:
        return verdict
    losers = [s.label for s in said.standings if s.goal == "worse"]
    told = _mention(losers, "do", said.control) + _tell_harm(said.standings)
    names = say_list([s.label for s in said.harmful])
    return replace(
        verdict,
        sentence=f"{verdict.sentence}{told}",
        next_step=f"Stop {names}; let the others go on.",
    )


def _say_blocked(findings: Sequence[Finding]) -> Verdict | None:
    for finding in findings:
        if finding.severity == "blocking":
            title = lower_first(finding.title)
            sentence = f"Do not trust these numbers: {title}."
            return Verdict(sentence, "unsound", "do not ship", finding.detail)
    return None


def _look_now(
    progress: Progress,
    earlier: Sequence[float],
    *,
    comparisons: int,
    confidence: float,
    monitoring: Monitoring,
) -> Look | None:
    """Look, unless it is too soon after the last look, or nothing says when the end is."""
    if progress.planned is None:
        fraction = 0.0 if progress.is_running else 1.0
    else:
        fraction = progress.customers / progress.planned
    return take_look(
        fraction,
        earlier,
        comparisons=comparisons,
        confidence=confidence,
        monitoring=monitoring,
        is_running=progress.is_running,
    )


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
    return Verdict(
        f"Nothing to read yet. {sentence}",
        "empty",
        "keep running",
        "Come back when data have arrived.",
    )


def _say_early(progress: Progress) -> Verdict:
    """Give no verdict yet, because looks add up to false winners."""
    customers, planned = progress.customers, progress.planned
    if planned is None:
        return Verdict(
            f"An early look at {customers:,} customers, with no verdict: no size was planned.",
            "early",
            "keep running",
            "Stop the experiment on a date set beforehand, then read the verdict.",
        )
    if customers >= planned and progress.is_running:
        return Verdict(
            f"No verdict yet: it has run for {progress.days:.0f} of at least "
            f"{progress.minimum_days:g} days.",
            "early",
            "keep running",
            "Wait: people act differently on other days of the week.",
        )
    sentence = (
        f"An early look, with no verdict: {customers:,} of {planned:,} planned customers have come."
    )
    if progress.is_running:
        return Verdict(sentence, "early", "keep running", "Wait: early differences often vanish.")
    return Verdict(
        f"{sentence} The experiment was stopped before its planned size.",
        "early",
        "inconclusive at the end",
        "Repeat it at full size if the answer matters.",
    )


def _tell_harm(standings: Sequence[Standing]) -> str:
    """Name the guardrails that arms harm."""
    return "".join(
        f" {s.label} harms {say_list([lower_first(noun) for noun in s.harmed])}."
        for s in standings
        if s.harmed
    )


def _mention(labels: Sequence[str], verb: Literal["also beat", "do"], control: str) -> str:
    """Name arms that are clear too but are not the headline."""
    if not labels:
        return ""
    one, several = {
        "also beat": ("also beats", "also beat"),
        "do": ("does worse than", "do worse than"),
    }[verb]
    return f" {say_list(list(labels))} {one if len(labels) == 1 else several} {control}."


def _say_incomparable(arms: Sequence[ArmResult]) -> str:
    return "".join(
        f" {arm.label} could not be compared: {lower_first(arm.result.reason)}"
        for arm in arms
        if isinstance(arm.result, Inconclusive)
    )
