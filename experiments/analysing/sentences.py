"""Says what a comparison found and what follows, in the sentences that a verdict is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from experiments.analysing.standing import ArmResult, Standing
from experiments.health.base import Finding
from experiments.looks import Look
from experiments.plan import Monitoring
from experiments.stats.estimate import Estimate, Inconclusive
from experiments.wording import Unit, say_difference, say_lift, say_list, say_values

Kind = Literal["win", "loss", "flat", "early", "unsound", "empty"]
Code = Literal["ship", "do not ship", "keep running", "stop: harm", "inconclusive at the end"]


@dataclass(frozen=True, slots=True)
class Goal:
    """The metric that decides: its name as a noun ("visits"), its unit and its good direction."""

    noun: str
    unit: Unit
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an experiment is.

    Attributes:
        customers: Who took part so far.
        planned: How many are to; None when no size was planned.
        is_running: Whether customers still come.
        days: How long it has run.
        minimum_days: Before that nothing is said to win, though harm is.
        known: Of the customers, those of whom the goal is known by now; None is all of them.
        extensions: When more were planned: how many had come, and how many were planned until then.
    """

    customers: int
    planned: int | None
    is_running: bool
    days: float = 0.0
    minimum_days: float = 0.0
    known: int | None = None
    extensions: tuple[tuple[int, int], ...] = ()

    @property
    def fraction(self) -> float:
        """How much of what is planned is known; without a planned size, whether it is over.

        With an extension it goes on from where it was, more slowly: what looks have spent of the
        error by then stays spent, and the rest is left for the customers to come.
        """
        if self.planned is None:
            return 0.0 if self.is_running else 1.0
        known = self.customers if self.known is None else self.known
        fraction, start = 0.0, 0
        ends = [came for came, _ in self.extensions if came < known]
        sizes = [planned for _, planned in self.extensions] + [self.planned]
        for end, size in zip([*ends, known], sizes, strict=False):
            fraction += (1.0 - fraction) * (end - start) / (size - start)
            start = end
        return fraction

    @property
    def is_too_soon(self) -> bool:
        """Whether the minimum duration is not over."""
        return self.days < self.minimum_days


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
        information: How much was known of the goal then (`looks.find_information`).
    """

    sentence: str
    kind: Kind
    code: Code
    next_step: str
    basis: str = ""
    look: float | None = None
    harmful: tuple[str, ...] = ()
    information: float | None = None


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
    if not look.is_single:
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


# --- what follows ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Saying:
    """What there is to say: the arms with the best first, and how things are called."""

    standings: Sequence[Standing]
    control: str
    goal: Goal
    incomparable: str

    @property
    def estimates(self) -> list[tuple[str, Estimate]]:
        """The arms with an estimate."""
        return [(s.label, s.estimate) for s in self.standings if s.estimate is not None]

    @property
    def better(self) -> list[Standing]:
        """The arms that surely do good."""
        return [s for s in self.standings if s.goal == "better"]

    @property
    def harmful(self) -> list[Standing]:
        """The arms that surely do harm."""
        return [s for s in self.standings if s.is_harmful]


def say_win(said: Saying, winner: Standing) -> Verdict:
    """Say which arm to ship, and what else is sure."""
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


def say_harm(said: Saying) -> Verdict:
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


def say_unsafe(said: Saying, best: Standing) -> Verdict:
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


def say_waiting(said: Saying, progress: Progress) -> Verdict:
    """Give no verdict yet, but tell of harm at once."""
    verdict = _say_wait(progress)
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


def say_blocked(findings: Sequence[Finding]) -> Verdict | None:
    """Say that nothing can be read, if a check found so."""
    for finding in findings:
        if finding.severity == "blocking":
            title = lower_first(finding.title)
            sentence = f"Do not trust these numbers: {title}."
            return Verdict(sentence, "unsound", "do not ship", finding.detail)
    return None


def say_empty(arms: Sequence[ArmResult]) -> Verdict:
    """Say why no arm has an estimate."""
    reasons = [arm.result.reason for arm in arms if isinstance(arm.result, Inconclusive)]
    sentence = reasons[0] if reasons else "No arm is compared with the control."
    return Verdict(
        f"Nothing to read yet. {sentence}",
        "empty",
        "keep running",
        "Come back when data have arrived.",
    )


def say_early(progress: Progress, *, harmful: Sequence[str] = ()) -> Verdict:
    """Give no verdict yet, because looks add up to false winners, but repeat what did harm."""
    verdict = _say_wait(progress)
    if not harmful:
        return verdict
    names = say_list(list(harmful))
    return replace(
        verdict,
        sentence=f"{verdict.sentence} {names} did harm at an earlier look.",
        next_step=f"Stop {names}; let the others go on."
        if progress.is_running
        else f"Do not ship {names}.",
        harmful=tuple(harmful),
    )


def _say_wait(progress: Progress) -> Verdict:
    customers, planned = progress.customers, progress.planned
    if planned is None:
        return Verdict(
            f"An early look at {customers:,} customers, with no verdict: no size was planned.",
            "early",
            "keep running",
            "Stop the experiment on a date set beforehand, then read the verdict.",
        )
    if progress.fraction < 1.0 <= customers / planned:
        return Verdict(
            f"No verdict yet: {customers:,} customers have come, and the goal is known of "
            f"{progress.known:,} of {planned:,}.",
            "early",
            "keep running",
            "Wait until the time has passed in which the goal counts, and analyse again.",
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
    short_of = "planned size" if customers < planned else "minimum duration"
    return Verdict(
        f"{sentence} The experiment was stopped before its {short_of}.",
        "early",
        "inconclusive at the end",
        "Repeat it at full size if the answer matters.",
    )


def _tell_harm(standings: Sequence[Standing]) -> str:
    """Name the guardrails that arms harm, and the arms that did harm at an earlier look only."""
    now = "".join(
        f" {s.label} harms {say_list([lower_first(noun) for noun in s.harmed])}."
        for s in standings
        if s.harmed
    )
    before = [s.label for s in standings if s.was_harmful and s.goal != "worse" and not s.harmed]
    return now + (f" {say_list(before)} did harm at an earlier look." if before else "")


def _mention(labels: Sequence[str], verb: Literal["also beat", "do"], control: str) -> str:
    """Name arms that are clear too but are not the headline."""
    if not labels:
        return ""
    one, several = {
        "also beat": ("also beats", "also beat"),
        "do": ("does worse than", "do worse than"),
    }[verb]
    return f" {say_list(list(labels))} {one if len(labels) == 1 else several} {control}."


def say_incomparable(arms: Sequence[ArmResult]) -> str:
    """Say why single arms have no estimate."""
    return "".join(
        f" {arm.label} could not be compared: {lower_first(arm.result.reason)}"
        for arm in arms
        if isinstance(arm.result, Inconclusive)
    )
