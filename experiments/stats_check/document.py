"""The document in which someone hands us numbers to compare, checked field by field."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from experiments.stats.moments import Moments

MOST_COMPARISONS = 1000
MOST_VALUES = 1_000_000
MOST_LOOKS = 100
# Counts stay exact as floats, and squares of values finite.
MOST_CUSTOMERS = 10**15
LARGEST = 1e100
# The finest steps and the longest over-running for which the boundaries' quadrature has panels
# enough: 18·sqrt(4) standard deviations at 3 steps of sqrt(0.001) a panel make 380 of at most 400.
LEAST_STEP, LAST_FRACTION = 0.001, 4.0

Size = Annotated[int, msgspec.Meta(ge=0, le=MOST_CUSTOMERS)]
MOST_COLUMNS = 200
Number = Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]
Columns = Annotated[list[Number], msgspec.Meta(min_length=1, max_length=MOST_COLUMNS)]


class Unreadable(Exception):
    """What came is no such document; says which field is wrong, and how."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many customers there were, and how many of them converted."""

    customers: int
    converted: int

    def __post_init__(self) -> None:
        """Refuse more conversions than customers."""
        if self.converted > self.customers:
            raise ValueError(
                f"{self.converted} of {self.customers} customers cannot have converted"
            )


class Arm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One arm's numbers, as counts, as moments or as one raw value per customer.

    Attributes:
        customers: Of counts: how many there were.
        converted: Of counts: how many of them converted.
        n: Of moments: how many customers there were.
        mean: Of moments: the mean per customer; of several columns, the mean of each.
        variance: Of moments of one column: the sample variance (divisor n - 1).
        covariance: Of moments of several columns: the sample covariance, row by row.
        values: One number per customer.
    """

    customers: Size | UnsetType = UNSET
    converted: Size | UnsetType = UNSET
    n: Size | UnsetType = UNSET
    mean: Number | Columns | UnsetType = UNSET
    variance: Annotated[float, msgspec.Meta(ge=0, le=LARGEST**2)] | UnsetType = UNSET
    covariance: (
        Annotated[
            list[
                Annotated[
                    list[Annotated[float, msgspec.Meta(ge=-(LARGEST**2), le=LARGEST**2)]],
                    msgspec.Meta(max_length=MOST_COLUMNS),
                ]
            ],
            msgspec.Meta(max_length=MOST_COLUMNS),
        ]
        | UnsetType
    ) = UNSET
    values: Annotated[list[Number], msgspec.Meta(max_length=MOST_VALUES)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse a mixture of the three, and numbers that no sample has."""
        self.measure()

    def measure(self) -> Counts | Moments:
        """Return the counts, or the moments given or worked out from the values."""
        given = _given(self)
        match tuple(given):
            case ("customers", "converted"):
                return Counts(**given)
            case ("n", "mean", "variance") if not isinstance(given["mean"], list):
                return Moments(given["n"], (given["mean"],), ((given["variance"],),))
            case ("n", "mean", "covariance") if isinstance(given["mean"], list):
                return Moments.from_json(given)
            case ("values",):
                return Moments.of(np.array(given["values"], dtype=np.float64)[:, None])  # (n, 1)
            case names:
                raise ValueError(
                    "An arm has either `customers` and `converted`, or `n`, `mean` and `variance`, "
                    "or `n`, a list `mean` and `covariance`, or `values`; "
                    f"this one has {_listed(names)}"
                )


class SpendingSide(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One boundary of a sequential plan.

    Attributes:
        alpha: Error that it may spend in all; 0 means no boundary.
        spending: When it is spent.
    """

    alpha: Annotated[float, msgspec.Meta(ge=0, lt=0.5)]
    spending: Literal["obrien_fleming", "pocock", "power"]


class Sequential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the comparison is looked at more than once: with planned error or without an end.

    Attributes:
        fractions: Information at each look so far over the planned information, this look last.
        is_final: This look is the last for good, and spends what is left.
        upper: The boundary for benefit.
        lower: The boundary for harm.
        tuned_to: Customers of both arms at which a confidence sequence is to be shortest.
    """

    fractions: (
        Annotated[
            list[Annotated[float, msgspec.Meta(ge=LEAST_STEP, le=LAST_FRACTION)]],
            msgspec.Meta(min_length=1, max_length=MOST_LOOKS),
        ]
        | UnsetType
    ) = UNSET
    is_final: bool | UnsetType = UNSET
    upper: SpendingSide | UnsetType = UNSET
    lower: SpendingSide | UnsetType = UNSET
    tuned_to: Annotated[float, msgspec.Meta(gt=0, le=MOST_CUSTOMERS)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse both plans at once, neither, and looks that are out of order."""
        given = _given(self)
        if "fractions" not in given and tuple(given) != ("tuned_to",):
            raise ValueError(
                "A sequential comparison has `fractions`, or `tuned_to` and nothing else; "
                f"this one has {_listed(tuple(given))}"
            )
        if "fractions" in given and "tuned_to" in given:
            raise ValueError("`fractions` and `tuned_to` are two methods: choose one")
        # Sums of decimals, such as 0.1 + 0.001, may fall short by a rounding.
        least = LEAST_STEP * (1 - 1e-9)
        for earlier, later in pairwise(given.get("fractions", [])):
            if later - earlier < least:
                raise ValueError(
                    f"`fractions` must grow by at least {LEAST_STEP} from look to look, "
                    f"but {later} follows {earlier}"
                )


class Comparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two arms to compare.

    Attributes:
        control: The control's numbers.
        treatment: The treatment's.
        label: Repeated in the answer.
        metric: Of moments: what the columns are. First come a mean's or a share's one column, a
            ratio's numerator and denominator, or a quantile's number of values and how many of
            them are at most each threshold; whatever follows are covariates from before exposure.
        columns: Of moments: those that count, in this order; all of them if left out.
        thresholds: Of a quantile: increasing values.
        level: Of a quantile: between 0 and 1.
        sequential: How the comparison is looked at more than once.
    """

    control: Arm
    treatment: Arm
    label: Annotated[str, msgspec.Meta(max_length=200)] | UnsetType = UNSET
    metric: Literal["mean", "share", "ratio", "quantile"] | UnsetType = UNSET
    columns: (
        Annotated[
            list[Annotated[int, msgspec.Meta(ge=0, lt=MOST_COLUMNS)]],
            msgspec.Meta(min_length=1, max_length=MOST_COLUMNS),
        ]
        | UnsetType
    ) = UNSET
    thresholds: Columns | UnsetType = UNSET
    level: Annotated[float, msgspec.Meta(gt=0, lt=1)] | UnsetType = UNSET
    sequential: Sequential | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse to compare a share with a mean, and columns that are not there."""
        control, treatment = self.measure()
        is_quantile = self.metric == "quantile"
        if is_quantile != (self.thresholds is not UNSET) or is_quantile != (
            self.level is not UNSET
        ):
            raise ValueError("`thresholds` and `level` belong to a quantile, which needs both")
        if isinstance(control, Counts) or isinstance(treatment, Counts):
            if self.metric is not UNSET or self.columns is not UNSET:
                raise ValueError("Counts have no `metric` and no `columns`")
            return
        self._check_columns(control, treatment)

    def _check_columns(self, control: Moments, treatment: Moments) -> None:
        least = {"ratio": 2, "quantile": 1 + len(self.thresholds or ())}.get(self.metric or "", 1)
        if len(control.mean) != len(treatment.mean) or len(control.mean) < least:
            raise ValueError(
                f"Both arms must have the same columns, and at least {least} of them; these have "
                f"{len(control.mean)} and {len(treatment.mean)}"
            )

    def measure(self) -> tuple[Counts, Counts] | tuple[Moments, Moments]:
        """Return the numbers of control and treatment, of one kind."""
        match self.control.measure(), self.treatment.measure():
            case Counts() as control, Counts() as treatment:
                return control, treatment
            case Moments() as control, Moments() as treatment:
                return self._select(control), self._select(treatment)
        raise ValueError(
            "One arm has counts and the other has moments or values, which cannot be compared; "
            "give both as counts, or neither"
        )

    def _select(self, moments: Moments) -> Moments:
        if self.columns is UNSET:
            return moments
        if max(self.columns) >= len(moments.mean):
            raise ValueError(f"There are {len(moments.mean)} columns, numbered from 0")
        return moments.select(*self.columns)


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is to be compared, and with which confidence."""

    comparisons: Annotated[
        list[Comparison], msgspec.Meta(min_length=1, max_length=MOST_COMPARISONS)
    ]
    confidence: Annotated[float, msgspec.Meta(ge=0.5, le=0.999999)] = 0.95


def read_document(raw: bytes) -> Document:
    """Read a document from JSON.

    Raises:
        Unreadable: It is no JSON, or a field is missing, unknown or out of range.
    """
    try:
        return msgspec.json.decode(raw, type=Document)
    except msgspec.ValidationError as error:
        raise Unreadable(f"{error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"This is not valid JSON: {error}.") from error


def _given(struct: msgspec.Struct) -> dict[str, Any]:
    """Return the optional fields that were there, in the order of their declaration."""
    fields = {name: getattr(struct, name) for name in struct.__struct_fields__}
    return {name: value for name, value in fields.items() if value is not UNSET}


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nothing"
