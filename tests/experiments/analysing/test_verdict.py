"""Verdicts: which of them is reached, and the sentence it is told in."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from experiments.analysing.sentences import Goal, Progress, Verdict
from experiments.analysing.standing import ArmResult, Guardrail
from experiments.analysing.verdict import find_last_look, reach_verdict
from experiments.health.base import Finding
from experiments.looks import take_look
from experiments.plan import Monitoring
from experiments.stats.estimate import Inconclusive, Result
from experiments.stats.lift import compare_means
from experiments.stats.moments import Moments
from experiments.stats.proportions import compare_proportions
from experiments.wording import MINUS

VISITS = Goal("Visits", "percent")
DONE = Progress(64_000, 64_000, is_running=False)
# Hillstrom's visits; see shared/data/README.md.
MENS = ArmResult("Men's e-mail", compare_proportions(x_c=2262, n_c=21306, x_t=3894, n_t=21307))
WOMENS = ArmResult("Women's e-mail", compare_proportions(x_c=2262, n_c=21306, x_t=3238, n_t=21387))


def arm(label: str, x: int, *, n: int = 10_000, control: int = 1000) -> ArmResult:
    """One arm against a control of 10,000 customers of whom 1,000 converted."""
    return ArmResult(label, compare_proportions(x_c=control, n_c=10_000, x_t=x, n_t=n))


def judge(
    *arms: ArmResult,
    goal: Goal = VISITS,
    findings: tuple[Finding, ...] = (),
    progress: Progress = DONE,
    earlier_looks: Sequence[float] = (),
    **plan: Any,
) -> Verdict:
    return reach_verdict(
        arms,
        control="No e-mail",
        goal=goal,
        findings=findings,
        progress=progress,
        earlier_looks=earlier_looks,
        **plan,
    )


def test_a_winner_is_told_in_one_sentence() -> None:
    verdict = judge(MENS)
    assert verdict.kind == "win"
    assert verdict.sentence == (
        "Men's e-mail wins: visits rose from 10.6% to 18.3% (+72%, between +64% and +81%)."
    )
    assert verdict.next_step == "Give Men's e-mail to everyone."
    assert verdict.basis == "Decided at p < 0.05, once, at the planned end."


def test_the_best_of_two_winners_wins_and_the_other_is_mentioned() -> None:
    verdict = judge(WOMENS, MENS)
    assert verdict.sentence.startswith("Men's e-mail wins:")
    assert verdict.sentence.endswith(" Women's e-mail also beats No e-mail.")
    assert "p < 0.025 for each of 2 arms" in verdict.basis
    assert "Bonferroni" in verdict.basis


def test_several_other_winners_are_listed() -> None:
    verdict = judge(arm("A", 1500), arm("B", 1400), arm("C", 1300))
    assert verdict.sentence.endswith(" B and C also beat No e-mail.")


def test_more_arms_need_stronger_evidence() -> None:
    close_call = arm("A", 1090)  # p = .036
    assert judge(close_call).kind == "win"
    verdict = judge(close_call, arm("B", 1000))
    assert verdict.kind == "flat"
    assert "No difference from No e-mail was found in visits that holds up" in verdict.sentence


def test_a_better_but_unsure_arm_is_mentioned() -> None:
    verdict = judge(arm("A", 1200), arm("B", 25, n=200))
    assert verdict.sentence.startswith("A wins")
    assert "B measured better still, but not surely better than No e-mail" in verdict.next_step


def test_a_loser_is_told_as_such() -> None:
    verdict = judge(arm("A", 800))
    assert verdict.kind == "loss"
    assert verdict.sentence == (
        "A loses: visits fell from 10.0% to 8.00% (−20%, between −27% and −13%)."
    )
    assert verdict.next_step == "Keep No e-mail; no arm did better."


def test_the_worst_loser_leads_and_the_others_follow() -> None:
    verdict = judge(arm("A", 850), arm("B", 700), arm("C", 1001))
    assert verdict.sentence.startswith("B loses")
    assert verdict.sentence.endswith(" A does worse than No e-mail.")


def test_losers_are_mentioned_beside_a_winner() -> None:
    verdict = judge(arm("A", 1300), arm("B", 700), arm("C", 800))
    assert verdict.sentence.endswith(" C and B do worse than No e-mail.")


def test_where_less_is_better_a_fall_wins() -> None:
    goal = Goal("Returns", "percent", higher_is_better=False)
    assert judge(arm("A", 800), goal=goal).kind == "win"
    assert judge(arm("A", 1200), goal=goal).kind == "loss"


def test_no_difference_says_what_is_still_possible() -> None:
    verdict = judge(arm("A", 1010), arm("B", 1000))
    assert verdict.kind == "flat"
    assert verdict.sentence == (
        "No difference from No e-mail was found in visits. A true change is still possible: "
        "between −7.0% and +9.7% for A and between −8.0% and +8.7% for B."
    )


def test_without_a_lift_the_difference_is_told() -> None:
    refunds = Moments(1000, (-2.0,), ((1.0,),)), Moments(1000, (-1.0,), ((1.0,),))
    verdict = judge(ArmResult("A", compare_means(*refunds)), goal=Goal("CTR margin", "number"))
    assert verdict.sentence == (
        "A wins: CTR margin rose from −2.00 to −1.00 (+1.00, between +0.912 and +1.09)."
    )


def test_an_arm_without_estimate_says_why_and_still_counts() -> None:
    verdict = judge(arm("A", 1090), ArmResult("B", Inconclusive("No customers yet.")))
    assert verdict.kind == "flat"
    assert verdict.sentence.endswith(" B could not be compared: no customers yet.")


@pytest.mark.parametrize(
    ("progress", "sentence", "next_step"),
    [
        (
            Progress(1200, 64_000, is_running=True),
            "An early look, with no verdict: 1,200 of 64,000 planned customers have come.",
            "Wait: early differences often vanish.",
        ),
        (
            Progress(1200, 64_000, is_running=False),
            "An early look, with no verdict: 1,200 of 64,000 planned customers have come. "
            "The experiment was stopped before its planned size.",
            "Repeat it at full size if the answer matters.",
        ),
        (
            Progress(1200, None, is_running=True),
            "An early look at 1,200 customers, with no verdict: no size was planned.",
            "Stop the experiment on a date set beforehand, then read the verdict.",
        ),
    ],
)
def test_before_its_end_there_is_no_verdict(
    progress: Progress, sentence: str, next_step: str
) -> None:
    verdict = judge(arm("A", 1020), progress=progress)
    assert (verdict.sentence, verdict.kind, verdict.next_step) == (sentence, "early", next_step)


def test_overwhelming_evidence_wins_early() -> None:
    verdict = judge(MENS, progress=Progress(32_000, 64_000, is_running=True))
    assert verdict.kind == "win"
    assert verdict.look == 0.5
    assert "at look 1, at 50% of the planned size" in verdict.basis


def test_an_early_interval_allows_for_the_looks() -> None:
    early = judge(MENS, progress=Progress(32_000, 64_000, is_running=True))
    assert "between +" in early.sentence
    assert early.sentence != judge(MENS).sentence


def test_one_losing_arm_of_several_decides_nothing_early() -> None:
    half = Progress(32_000, 64_000, is_running=True)
    assert judge(arm("A", 500), arm("B", 1000), progress=half).kind == "early"
    assert judge(arm("A", 500), arm("B", 500), progress=half).kind == "loss"


def test_a_look_too_soon_after_the_last_one_is_none() -> None:
    verdict = judge(MENS, progress=Progress(32_000, 64_000, is_running=True), earlier_looks=[0.495])
    assert (verdict.kind, verdict.look) == ("early", None)


def test_a_verdict_after_several_looks_says_so() -> None:
    verdict = judge(arm("A", 1500), arm("B", 1400), earlier_looks=[0.2, 0.6])
    assert "at look 3" in verdict.basis
    assert "shared equally by 2 arms (Bonferroni)" in verdict.basis


def test_a_stopped_experiment_without_planned_size_is_judged() -> None:
    assert judge(MENS, progress=Progress(1200, None, is_running=False)).kind == "win"


def test_a_running_experiment_is_judged_once_its_size_is_reached() -> None:
    assert judge(MENS, progress=Progress(64_000, 64_000, is_running=True)).kind == "win"


def test_a_blocking_finding_silences_every_other_verdict() -> None:
    warning = Finding("w", "warning", "Odd", "Look.", {})
    blocking = Finding("b", "blocking", "The arms differ", "Find out why.", {})
    assert judge(MENS, findings=(warning,)).kind == "win"
    assert judge(MENS, findings=(warning, blocking)) == Verdict(
        "Do not trust these numbers: the arms differ.", "unsound", "do not ship", "Find out why."
    )


@pytest.mark.parametrize(
    ("arms", "sentence"),
    [
        ([], "Nothing to read yet. No arm is compared with the control."),
        (
            [Inconclusive("No customers have been counted in the control yet.")],
            "Nothing to read yet. No customers have been counted in the control yet.",
        ),
    ],
)
def test_without_any_estimate_there_is_nothing_to_read(arms: list[Result], sentence: str) -> None:
    verdict = judge(*(ArmResult("A", result) for result in arms))
    assert verdict.kind == "empty"
    assert verdict.sentence == sentence


def test_evidence_beyond_floating_point_still_wins() -> None:
    assert not isinstance(MENS.result, Inconclusive)
    sure = replace(MENS.result, p_value=0.0, ln_p_value=-5 * math.log(1e300))
    assert judge(ArmResult("A", sure)).kind == "win"


# --- the ship rule ----------------------------------------------------------------------------

REFUNDS = Guardrail("Refunds", higher_is_better=False)
SPEED = Guardrail("Speed", margin=0.02)
RUNNING = Progress(500, 1000, is_running=True, days=10, minimum_days=7)


def share(x_c: int, x_t: int, n: int = 10_000) -> Result:
    return compare_proportions(x_c=x_c, n_c=n, x_t=x_t, n_t=n)


def guarded(label: str, x: int, **results: Result) -> ArmResult:
    return replace(arm(label, x), guardrails=results)


def test_a_winner_that_harms_a_guardrail_is_not_shipped() -> None:
    verdict = judge(guarded("A", 1300, Refunds=share(100, 200)), guardrails=[REFUNDS])
    assert (verdict.code, verdict.kind) == ("stop: harm", "loss")
    assert verdict.harmful == ("A",)
    assert verdict.sentence == "A harms refunds."


def test_of_two_winners_the_safe_one_ships() -> None:
    verdict = judge(
        guarded("A", 1400, Refunds=share(100, 200)),
        guarded("B", 1300, Refunds=share(100, 101)),
        guardrails=[REFUNDS],
    )
    assert verdict.code == "ship"
    assert verdict.sentence.startswith("B wins")
    assert "A harms refunds." in verdict.sentence
    assert verdict.harmful == ("A",)


def test_a_winner_whose_margin_is_not_proven_goes_on_and_in_the_end_does_not_ship() -> None:
    unproven = guarded("A", 1300, Speed=share(1000, 1000))
    early = judge(unproven, guardrails=[SPEED], progress=RUNNING)
    assert (early.code, early.harmful) == ("keep running", ())
    late = judge(unproven, guardrails=[SPEED])
    assert late.code == "do not ship"
    assert late.sentence.startswith("A is better, but not safe: visits rose")
    assert "It is not shown that it keeps speed within the margin." in late.sentence


def test_harm_is_told_while_the_experiment_runs() -> None:
    verdict = judge(arm("A", 1000), arm("B", 700), progress=RUNNING)
    assert (verdict.code, verdict.kind) == ("keep running", "early")
    assert verdict.harmful == ("B",)
    assert "B does worse than No e-mail." in verdict.sentence
    assert verdict.next_step == "Stop B; let the others go on."


def test_an_experiment_whose_only_arm_does_harm_stops_early() -> None:
    verdict = judge(arm("A", 700), progress=RUNNING)
    assert (verdict.code, verdict.kind, verdict.harmful) == ("stop: harm", "loss", ("A",))


def test_more_guardrails_need_stronger_evidence_of_harm() -> None:
    close_call = share(100, 131)  # p = .038
    one = judge(guarded("A", 1000, Refunds=close_call), guardrails=[REFUNDS])
    assert one.harmful == ("A",)
    two = judge(
        guarded("A", 1000, Refunds=close_call, Returns=share(100, 100)),
        guardrails=[REFUNDS, Guardrail("Returns", higher_is_better=False)],
    )
    assert two.harmful == ()


def test_nothing_wins_before_the_minimum_duration_but_harm_is_seen() -> None:
    soon = replace(DONE, is_running=True, days=2, minimum_days=7)
    verdict = judge(MENS, progress=soon)
    assert (verdict.code, verdict.kind) == ("keep running", "early")
    assert verdict.sentence == "No verdict yet: it has run for 2 of at least 7 days."
    assert judge(arm("A", 700), progress=soon).code == "stop: harm"


def test_the_first_look_for_harm_waits_for_some_customers() -> None:
    few = Progress(300, 64_000, is_running=True, days=1, minimum_days=7)
    verdict = judge(arm("A", 700), progress=few)
    assert (verdict.code, verdict.look, verdict.harmful) == ("keep running", None, ())


@pytest.mark.parametrize(
    ("arms", "code"),
    [
        ([arm("A", 1200)], "ship"),
        ([arm("A", 1005)], "inconclusive at the end"),
        ([arm("A", 800)], "stop: harm"),
        ([arm("A", 800), arm("B", 1005)], "do not ship"),
    ],
)
def test_at_the_planned_end_there_is_a_code(arms: list[ArmResult], code: str) -> None:
    assert judge(*arms).code == code


def test_an_open_ended_experiment_is_inconclusive_only_when_it_was_stopped() -> None:
    endless = Monitoring("confidence_sequence")
    running = judge(arm("A", 1005), progress=replace(DONE, is_running=True), monitoring=endless)
    assert running.code == "keep running"
    assert judge(arm("A", 1005), monitoring=endless).code == "inconclusive at the end"
    won = judge(MENS, progress=replace(DONE, is_running=True), monitoring=endless)
    assert won.code == "ship"
    assert "confidence sequence" in won.basis


# --- looks before the minimum duration -----------------------------------------------------------


def young(days: float) -> Progress:
    """Five times the planned size came before half of the minimum duration."""
    return Progress(50_000, 10_000, is_running=True, days=days, minimum_days=7)


def test_before_the_minimum_duration_time_says_how_far_an_experiment_is() -> None:
    assert judge(arm("New", 1010), progress=young(3.5)).look == 0.5
    assert (
        judge(arm("New", 1010), progress=young(3.55), earlier_looks=[0.5], harm_looks=1).look
        is None
    )


def test_after_the_minimum_duration_all_error_is_left_for_a_winner() -> None:
    done = replace(young(7), customers=100_000)
    looks = [day / 7 for day in range(1, 7)]
    verdict = judge(arm("New", 1087), progress=done, earlier_looks=looks, harm_looks=6)
    # Its deviate is 2.0: enough for one test, and not for one that looks spent something of.
    assert verdict.kind == "win"
    assert verdict.look == 1.0
    assert judge(arm("New", 1087), progress=done, earlier_looks=looks).kind != "win"


def test_harm_at_an_earlier_look_keeps_an_arm_from_shipping() -> None:
    verdict = judge(arm("New", 1300), harmful_before=["New"])
    assert verdict.code == "stop: harm"
    assert "New did harm at an earlier look." in verdict.sentence


def test_the_interval_of_a_stopped_confidence_sequence_is_the_sequence_s() -> None:
    progress = Progress(20_000, 20_000, is_running=False)
    verdict = judge(
        arm("New", 1090), progress=progress, monitoring=Monitoring("confidence_sequence")
    )
    assert verdict.kind == "flat"
    assert f"between {MINUS}" in verdict.sentence


def test_an_experiment_stopped_before_its_minimum_duration_says_so() -> None:
    progress = Progress(20_000, 20_000, is_running=False, days=3, minimum_days=7)
    verdict = judge(arm("New", 1300), progress=progress)
    assert verdict.code == "inconclusive at the end"
    assert "stopped before its minimum duration" in verdict.sentence


def test_harm_to_a_guardrail_is_found_where_the_goal_is_not_known_yet() -> None:
    unknown = Inconclusive("No orders yet.")
    early = Progress(20_000, 64_000, is_running=True, days=10)
    harmed = ArmResult("New", unknown, {"Refunds": share(1000, 500)})
    found = judge(harmed, guardrails=[Guardrail("Refunds")], progress=early)
    assert (found.code, found.harmful) == ("stop: harm", ("New",))
    assert "No orders yet" in found.sentence.replace("no orders", "No orders")

    fine = ArmResult("New", unknown, {"Refunds": share(1000, 1000)})
    nothing = judge(fine, guardrails=[Guardrail("Refunds")], progress=early)
    assert (nothing.kind, nothing.harmful) == ("empty", ())
    # Harm was looked for, and that has its price.
    assert nothing.look == pytest.approx(20_000 / 64_000)


def test_between_looks_the_last_one_is_what_counts() -> None:
    progress = Progress(50_500, 100_000, is_running=True, days=20)
    plan: dict[str, Any] = {"comparisons": 1, "confidence": 0.95, "monitoring": Monitoring()}
    again = find_last_look(progress, [0.25, 0.5], 0, **plan)
    assert again is not None
    assert (again.fraction, again.number) == (0.5, 2)
    at_it = find_last_look(Progress(50_000, 100_000, is_running=True, days=20), [0.25], 0, **plan)
    assert at_it is not None
    assert again.boundary == at_it.boundary
    assert find_last_look(Progress(0, 100_000, is_running=True, days=20), [], 0, **plan) is None


def test_an_extension_goes_on_from_where_it_was() -> None:
    """Half of the error's time is over at 500 of 1,000; the other half lasts until 3,000."""
    extended: dict[str, Any] = {"is_running": True, "extensions": ((500, 1000),)}
    at = [Progress(came, 3000, **extended).fraction for came in (250, 500, 1750, 3000, 3500)]
    assert at == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.1])
    twice = Progress(4000, 4000, is_running=True, extensions=((500, 1000), (1750, 3000)))
    assert twice.fraction == pytest.approx(1.0)
    before = Progress(400, 4000, is_running=True, extensions=((500, 1000), (1750, 3000)))
    assert before.fraction == pytest.approx(0.4)


def test_an_extended_experiment_errs_as_often_as_was_promised() -> None:
    """Extended at a time that results have no part in: what is spent stays spent."""
    rng = np.random.default_rng(11)
    came = np.array([200, 400, 600, 1200, 1800, 2400, 3000])
    fractions = [
        Progress(
            int(n), 3000 if n > 600 else 1000, is_running=True,
            extensions=((600, 1000),) if n > 600 else (),
        ).fraction
        for n in came
    ]  # fmt: skip
    runs = 40_000
    steps = np.diff(came, prepend=0)
    scores = np.cumsum(rng.normal(size=(runs, len(came))) * np.sqrt(steps), axis=1)
    z = scores / np.sqrt(came)
    called = np.zeros(runs, dtype=bool)
    for k in range(len(came)):
        look = take_look(
            fractions[k], fractions[:k], comparisons=1, confidence=0.95,
            information=[float(n) for n in came[: k + 1]],
        )  # fmt: skip
        assert look is not None
        called |= (z[:, k] >= look.boundary.upper) | (z[:, k] <= look.boundary.lower)
    assert called.mean() == pytest.approx(0.05, abs=3 * (0.05 * 0.95 / runs) ** 0.5)
