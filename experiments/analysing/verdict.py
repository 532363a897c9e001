"""Says what an experiment found and what to do next: a pure function of its plan and results."""

from collections.abc import Sequence
from dataclasses import replace

from experiments.analysing.sentences import (
    Goal,
    Progress,
    Saying,
    Verdict,
    say_basis,
    say_blocked,
    say_early,
    say_empty,
    say_flat,
    say_harm,
    say_incomparable,
    say_unsafe,
    say_waiting,
    say_win,
)
from experiments.analysing.standing import ArmResult, Guardrail, Standing, find_standing
from experiments.health.base import Finding
from experiments.looks import LEAST_STEP, Look, find_information, take_look, widen
from experiments.plan import Monitoring
from experiments.stats.estimate import Estimate, Interval


def reach_verdict(  # noqa: PLR0913 - the whole of an experiment decides
    arms: Sequence[ArmResult],
    *,
    control: str,
    goal: Goal,
    findings: Sequence[Finding],
    progress: Progress,
    guardrails: Sequence[Guardrail] = (),
    earlier_looks: Sequence[float] = (),
    harm_looks: int = 0,
    earlier_information: Sequence[float | None] = (),
    harmful_before: Sequence[str] = (),
    confidence: float = 0.95,
    monitoring: Monitoring = Monitoring(),  # noqa: B008 - frozen
) -> Verdict:
    """Judge an experiment at one look out of several.

    The ship rule: an arm ships when it crosses the goal's boundary for benefit, harms no guardrail
    and is shown to keep every margin; of several such arms the best estimate. An arm that crosses
    a boundary for harm, on the goal or on a guardrail, is harmful; the experiment stops for harm
    when all its arms are. Short of that nothing is decided before the planned end. Before the
    minimum duration looks are for harm alone. A blocking finding, or no estimate at all, come first
    and give no verdict; without one of the goal, only harm is found.

    Args:
        arms: Every treatment arm.
        control: The control's label.
        goal: The metric that decides.
        findings: What the health checks found.
        progress: How far it is.
        guardrails: What must not be harmed; every arm has a result for each.
        earlier_looks: The fractions of the planned size at the looks before this one.
        harm_looks: Of these the first so many came before the minimum duration.
        earlier_information: What was known of the goal at each of them, as `Verdict.information`
            says; empty where it grows like the customers.
        harmful_before: The arms that surely did harm at one of these looks, by label.
        confidence: One minus the error allowed.
        monitoring: How looks are paid for.
    """
    if blocked := say_blocked(findings):
        return blocked
    has_goal = any(isinstance(arm.result, Estimate) for arm in arms)
    # What must not be harmed may be known before the goal is.
    if not has_goal and not any(
        isinstance(result, Estimate) for arm in arms for result in arm.guardrails.values()
    ):
        return say_empty(arms)

    known = find_information(arm.result for arm in arms)
    is_told = len(earlier_information) == len(earlier_looks)

    def look_at(comparisons: int) -> Look | None:
        return look_now(
            progress,
            earlier_looks,
            harm_looks,
            comparisons=comparisons,
            confidence=confidence,
            monitoring=monitoring,
            information=[*earlier_information, known] if is_told else (),
        )

    look = look_at(len(arms))
    if look is None:
        return say_early(progress, harmful=[a.label for a in arms if a.label in harmful_before])
    harm_look = look_at(len(arms) * len(guardrails)) if guardrails else None
    standings = [
        replace(
            find_standing(
                arm,
                goal_higher_is_better=goal.higher_is_better,
                guardrails=guardrails,
                goal_look=look,
                harm_look=harm_look,
            ),
            was_harmful=arm.label in harmful_before,
        )
        for arm in arms
    ]
    if not has_goal and not any(standing.is_harmful for standing in standings):
        # The look is taken all the same: harm was looked for.
        return replace(say_empty(arms), look=look.fraction, information=known)
    said = Saying(_rank(standings, look, goal=goal), control, goal, say_incomparable(arms))
    basis = say_basis(len(arms), confidence, look=look, monitoring=monitoring)
    verdict = _decide(said, look=look, progress=progress)
    return replace(
        verdict,
        basis=basis if verdict.code != "keep running" or verdict.harmful else "",
        look=look.fraction,
        information=known,
    )


def look_now(
    progress: Progress,
    earlier: Sequence[float],
    harm_looks: int,
    *,
    comparisons: int,
    confidence: float,
    monitoring: Monitoring,
    information: Sequence[float | None] = (),
) -> Look | None:
    """Look, unless it is too soon after the last look, or nothing says when the end is."""
    fraction = progress.fraction
    if monitoring.rule != "confidence_sequence" and progress.is_too_soon:
        if fraction < LEAST_STEP:
            return None
        # It cannot end before its minimum duration, so that is how far it is at most: were the
        # planned size taken for the end, every later look would spend the whole error again.
        fraction = min(fraction, progress.days / progress.minimum_days)
    elif fraction > 1.0 and 0 < harm_looks == len(earlier):
        # The looks so far were at parts of what came by now, not of the planned size.
        fraction = 1.0
    return take_look(
        fraction,
        earlier,
        comparisons=comparisons,
        confidence=confidence,
        monitoring=monitoring,
        is_running=progress.is_running,
        harm_looks=harm_looks,
        is_for_harm=progress.is_too_soon,
        information=information,
    )


def find_last_look(
    progress: Progress,
    earlier: Sequence[float],
    harm_looks: int,
    *,
    comparisons: int,
    confidence: float,
    monitoring: Monitoring,
    information: Sequence[float | None] = (),
) -> Look | None:
    """Look now, or return the last look where it is too soon for another; None before the first."""
    look = look_now(
        progress,
        earlier,
        harm_looks,
        comparisons=comparisons,
        confidence=confidence,
        monitoring=monitoring,
        information=information,
    )
    if look is not None or not earlier:
        return look
    before = earlier[:-1]
    return take_look(
        earlier[-1],
        before,
        comparisons=comparisons,
        confidence=confidence,
        monitoring=monitoring,
        information=information[:-1],
        harm_looks=min(harm_looks, len(before)),
        is_for_harm=harm_looks > len(before),
    )


def _rank(standings: Sequence[Standing], look: Look, *, goal: Goal) -> list[Standing]:
    """Order the arms with an estimate, the best first, and give them intervals that agree."""
    sign = 1 if goal.higher_is_better else -1
    known = [(s, s.estimate) for s in standings if s.estimate is not None]
    known.sort(key=lambda pair: sign * pair[1].difference, reverse=True)
    ranked = [
        s if look.is_single else replace(s, estimate=_widened(estimate, look, goal=goal))
        for s, estimate in known
    ]
    return [*ranked, *(s for s in standings if s.estimate is None)]


def _decide(said: Saying, *, look: Look, progress: Progress) -> Verdict:
    """Apply the ship rule."""
    harmful = tuple(s.label for s in said.harmful)
    shippable = [s for s in said.standings if s.can_ship]
    if shippable and not progress.is_too_soon:
        return replace(say_win(said, shippable[0]), harmful=harmful)
    if len(harmful) == len(said.standings):
        return replace(say_harm(said), harmful=harmful)
    if look.is_early or progress.is_too_soon:
        return replace(say_waiting(said, progress), harmful=harmful)
    if said.better:
        return replace(say_unsafe(said, said.better[0]), harmful=harmful)
    if harmful:
        return replace(say_harm(said), code="do not ship", harmful=harmful)
    sentence = say_flat(said.estimates, control=said.control, goal=said.goal) + said.incomparable
    return Verdict(
        sentence,
        "flat",
        "inconclusive at the end",
        f"Keep {said.control}, or plan a larger experiment if a change this small would matter.",
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
