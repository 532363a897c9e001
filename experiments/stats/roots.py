"""Finds where a function is 0."""

from collections.abc import Callable


def find_root(
    function: Callable[[float], float],
    low: float,
    high: float,
    *,
    xtol: float = 2e-12,
    rtol: float = 8.9e-16,
) -> float:
    """Return a root between two places where a continuous function has different signs.

    Args:
        function: The function.
        low: The one place.
        high: The other.
        xtol: How far off the root may be, in its own units.
        rtol: The same as a part of the root.

    Raises:
        ValueError: The function has the same sign at both places.
    """
    # Web processes hold this module, hardly any of them calls it, and it takes 20 MB in each.
    from scipy.optimize import brentq

    return float(brentq(function, low, high, xtol=xtol, rtol=rtol))
