"""What many comparisons of two arms can say, as arrays; and any one of them as a `Result`."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from experiments.stats.estimate import Estimate, Inconclusive, Interval, Result

FloatArray = NDArray[np.float64]
CodeArray = NDArray[np.int8]
BoolArray = NDArray[np.bool_]


class Reason(IntEnum):
    """Why there is no estimate; 0 where there is one."""

    NONE = 0
    NOBODY_IN_CONTROL = 1
    NOBODY_IN_TREATMENT = 2
    ONE_IN_CONTROL = 3
    ONE_IN_TREATMENT = 4
    NO_VARIATION = 5
    NONE_CONVERTED = 6
    ALL_CONVERTED = 7
    FEW_CONVERTED = 8
    FEW_LEFT = 9


REASONS = {
    Reason.NOBODY_IN_CONTROL: "No customers have been counted in the control yet.",
    Reason.NOBODY_IN_TREATMENT: "No customers have been counted in the treatment yet.",
    Reason.ONE_IN_CONTROL: (
        "Only one customer has been counted in the control; at least two are needed."
    ),
    Reason.ONE_IN_TREATMENT: (
        "Only one customer has been counted in the treatment; at least two are needed."
    ),
    Reason.NO_VARIATION: (
        "Every customer within an arm has the same value, so there is no variation to judge by."
    ),
    Reason.NONE_CONVERTED: "No customer in either arm has converted yet.",
    Reason.ALL_CONVERTED: (
        "Every customer in both arms has converted, so there is no variation to judge by."
    ),
    Reason.FEW_CONVERTED: (
        "Too few customers have converted: if both arms were alike, at least 10 conversions would "
        "have to be expected in each."
    ),
    Reason.FEW_LEFT: (
        "Nearly every customer has converted: if both arms were alike, at least 10 customers "
        "without a conversion would have to be expected in each."
    ),
}


def find_too_few(n_control: int, n_treatment: int) -> Reason:
    """Say which arm has too few customers for any comparison, if one has."""
    for n, nobody, one in (
        (n_control, Reason.NOBODY_IN_CONTROL, Reason.ONE_IN_CONTROL),
        (n_treatment, Reason.NOBODY_IN_TREATMENT, Reason.ONE_IN_TREATMENT),
    ):
        if n < 2:
            return nobody if n == 0 else one
    return Reason.NONE


class Lift(IntEnum):
    """How the interval of a lift was found, or why there is no lift."""

    LOG_RATIO = 0
    SCORE = 1
    FIELLER = 2
    NO_BASE = 3
    TOO_RARE = 4
    BELOW_ZERO = 5

    @property
    def is_known(self) -> bool:
        """Whether there is a lift."""
        return self <= Lift.FIELLER


LIFT_METHODS = {
    Lift.LOG_RATIO: "log-ratio interval of the lift",
    Lift.SCORE: "score interval of the lift",
    Lift.FIELLER: "Fieller's interval of the lift",
}
NO_LIFT = {
    Lift.NO_BASE: "The control is zero, negative or too uncertain to be a base for a lift.",
    Lift.TOO_RARE: (
        "Too little has happened for a lift: if both arms were alike, each would have to be known "
        "to within half its size."
    ),
    Lift.BELOW_ZERO: "The treatment is below zero, and a lift cannot say how far.",
}


def choose(cases: Sequence[tuple[BoolArray, int]], *, otherwise: int) -> CodeArray:
    """Take the code of the first case that holds, everywhere."""
    chosen = np.asarray(int(otherwise))
    for condition, code in reversed(cases):
        chosen = np.where(condition, int(code), chosen)
    return chosen.astype(np.int8)


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Comparisons of a treatment with a control, each an element of every array.

    Where there is no estimate, numbers are NaN; where there is no lift, those of the lift are.

    Attributes:
        n: Customers of control and treatment, shape (2, ...).
        means: Their means, shape (2, ...).
        means_low: Lower end of each mean's interval, shape (2, ...).
        means_high: Upper end of each mean's interval, shape (2, ...).
        difference: Treatment minus control.
        difference_low: Lower end of its interval.
        difference_high: Upper end of its interval.
        relative: Lift, treatment / control - 1.
        relative_low: Lower end of its interval, never below -1.
        relative_high: Upper end of its interval.
        p_value: Two-sided, of no difference.
        ln_p_value: Its natural logarithm.
        test_error: Standard error of the difference if there is none in truth, as in the test.
        test_df: Degrees of freedom of the test; infinite for a z-test.
        reason: A `Reason` each.
        lift: A `Lift` each.
        is_pooled: Whether arms borrowed of each other's errors (`errors.py`); shares always do.
        confidence: Of every interval.
        is_share: Whether shares were compared.
    """

    n: FloatArray
    means: FloatArray
    means_low: FloatArray
    means_high: FloatArray
    difference: FloatArray
    difference_low: FloatArray
    difference_high: FloatArray
    relative: FloatArray
    relative_low: FloatArray
    relative_high: FloatArray
    p_value: FloatArray
    ln_p_value: FloatArray
    test_error: FloatArray
    test_df: FloatArray
    reason: CodeArray
    lift: CodeArray
    is_pooled: NDArray[np.bool_]
    confidence: float
    is_share: bool

    def result(self, index: int | tuple[int, ...] = ()) -> Result:
        """Return one comparison; without an index, the only one of arrays without dimensions."""
        if reason := Reason(int(self.reason[index])):
            return Inconclusive(REASONS[reason])
        lift = Lift(int(self.lift[index]))
        return Estimate(
            control_mean=float(self.means[0][index]),
            treatment_mean=float(self.means[1][index]),
            n_control=int(self.n[0][index]),
            n_treatment=int(self.n[1][index]),
            control_interval=Interval(
                float(self.means_low[0][index]), float(self.means_high[0][index])
            ),
            treatment_interval=Interval(
                float(self.means_low[1][index]), float(self.means_high[1][index])
            ),
            difference=float(self.difference[index]),
            difference_interval=Interval(
                float(self.difference_low[index]), float(self.difference_high[index])
            ),
            relative=float(self.relative[index]) if lift.is_known else None,
            relative_interval=(
                Interval(float(self.relative_low[index]), float(self.relative_high[index]))
                if lift.is_known
                else None
            ),
            p_value=float(self.p_value[index]),
            ln_p_value=float(self.ln_p_value[index]),
            confidence=self.confidence,
            method=self._method(lift, is_pooled=bool(self.is_pooled[index])),
            no_lift=NO_LIFT.get(lift, ""),
        )

    def _method(self, lift: Lift, *, is_pooled: bool) -> str:
        if self.is_share:
            test = (
                "Pooled two-proportion z-test; Newcombe interval of the difference, Wilson "
                "intervals of the shares"
            )
        elif is_pooled:
            test = (
                "Score t-test with errors of which two thirds are pooled, as the smaller arm has "
                "too little of its own; interval of the difference from score intervals of the "
                "means"
            )
        else:
            test = "Welch's t-test and t intervals"
        return f"{test}, {LIFT_METHODS.get(lift, 'no lift')}"
