"""Says numbers the way people read them: few digits, a sign on every change."""

import math
from collections import Counter
from collections.abc import Mapping

# "percent", "number", or the ISO 4217 code of a currency.
Unit = str

_CURRENCIES = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥"}
NO_BREAK = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "\N{SUPERSCRIPT MINUS}⁰¹²³⁴⁵⁶⁷⁸⁹")


def say_value(value: float, *, unit: Unit, digits: int = 3) -> str:
    """Say a mean: 0.1062 as 10.6% when it is a share, 1234.5 as 1,234 or as €1,234."""
    if unit == "percent":
        return f"{_say(100 * value, digits=digits)}%"
    return say_in(unit, _say(value, digits=digits))


def say_values(first: float, second: float, *, unit: Unit) -> tuple[str, str]:
    """Say two means with as many digits as it takes to tell them apart, within reason."""
    for digits in (3, 4, 5):
        said = (
            say_value(first, unit=unit, digits=digits),
            say_value(second, unit=unit, digits=digits),
        )
        if first == second or said[0] != said[1]:
            break
    return said


def say_lift(lift: float) -> str:
    """Say a relative change: 0.7214 as +72%."""
    return f"{_say_signed(100 * lift, digits=2)}%"


def say_difference(difference: float, *, unit: Unit) -> str:
    """Say an absolute change, where percentages change by points and not by per cent."""
    if unit == "percent":
        return f"{_say_signed(100 * difference, digits=3)} points"
    return say_in(unit, _say_signed(difference, digits=3))


def say_difference_range(low: float, high: float, *, unit: Unit) -> str:
    """Say between which absolute changes the truth may lie, the unit once."""
    if unit == "percent":
        said = (_say_signed(100 * value, digits=3) for value in (low, high))
        return f"{' to '.join(said)} points"
    return f"{say_difference(low, unit=unit)} to {say_difference(high, unit=unit)}"


def say_p_value(ln_p_value: float) -> str:
    """Say a p-value from its natural logarithm: p = 0.031, or a power of ten when tiny."""
    if ln_p_value > math.log(0.0001):
        return f"p = {math.exp(ln_p_value):.2g}"
    exponent = math.floor(ln_p_value / math.log(10))
    mantissa = round(math.exp(ln_p_value - exponent * math.log(10)))
    if mantissa == 10:
        mantissa, exponent = 1, exponent + 1
    return f"p = {mantissa} \N{MULTIPLICATION SIGN} 10{str(exponent).translate(_SUPERSCRIPTS)}"


def tell_apart(names: Mapping[str, str]) -> dict[str, str]:
    """Return names by key, each with its key where another thing is called the same."""
    counts = Counter(names.values())
    return {key: name if counts[name] == 1 else f"{name} ({key})" for key, name in names.items()}


def say_list(items: list[str]) -> str:
    """Join items as English does: a, b and c."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def say_in(unit: Unit, said: str) -> str:
    """Put a currency's sign, or its code, behind the number's own sign."""
    if unit in ("percent", "number"):
        return said
    sign = said[0] if said[0] in f"+{MINUS}" else ""
    return f"{sign}{_CURRENCIES.get(unit, unit + NO_BREAK)}{said[len(sign) :]}"


def _say_signed(value: float, *, digits: int) -> str:
    said = _say(value, digits=digits)
    return f"+{said}" if value > 0 and said != "0" else said


def _say(value: float, *, digits: int) -> str:
    """Round to some significant digits, but never round away digits before the point."""
    if abs(value) < 1e-6:
        return "0"
    # Of the rounded value: 9.998 is 10.0, not 10.00.
    rounded = float(f"{value:.{digits - 1}e}")
    decimals = max(digits - 1 - math.floor(math.log10(abs(rounded))), 0)
    return f"{value:,.{decimals}f}".replace("-", MINUS)
