"""Finds values of several currencies that are added up as if they were of one."""

from collections import Counter
from collections.abc import Mapping, Sequence

from experiments.health.base import Currencies, Finding, HealthContext
from experiments.wording import say_list

# A yen, a rupee or a rouble in the place of a dollar or a euro counts for about a hundred times of
# what it is worth: one event in a hundred then weighs as much as all others.
BLOCK_ABOVE = 0.01
NONE_SAID = "no currency said"
MOST_NAMED = 4


def check_currencies(context: HealthContext) -> Finding | None:
    """Compare the currencies that events say with each other, and with the metric's own."""
    mixed = [one for one in context.currencies if _is_mixed(one)]
    misnamed = [one for one in context.currencies if not _is_mixed(one) and _is_misnamed(one)]
    if mixed:
        return _find_mixed(mixed, [*mixed, *misnamed])
    if misnamed:
        return _find_misnamed(misnamed)
    left_out = [one for one in context.currencies if one.left_out]
    return _find_left_out(left_out) if left_out else None


def _find_mixed(mixed: Sequence[Currencies], found: Sequence[Currencies]) -> Finding:
    blocks = [one for one in mixed if one.decides and _foreign_share(one) >= BLOCK_ABOVE]
    worst = max(blocks or mixed, key=_foreign_share)
    return Finding(
        code="several_currencies",
        severity="blocking" if blocks else "warning",
        title="Values in several currencies are added up",
        detail=f"{worst.metric} counts values in {_say_shares(worst.counted)}, each as if it were "
        f"in {worst.own or 'the same'}.{_say_more(mixed)} Where one arm sells more in one of them, "
        "that alone looks like a lift. Let the metric count only events in its currency, or send "
        "all values in one.",
        evidence=_to_evidence(found),
    )


def _find_misnamed(found: Sequence[Currencies]) -> Finding:
    first = found[0]
    return Finding(
        code="other_currency",
        severity="warning",
        title="Values are in another currency than the metric says",
        detail=f"{first.metric} is said in {first.own}, and its values came in "
        f"{_say_shares(first.counted)}.{_say_more(found)} The lift is right, and amounts are not "
        f"in {first.own}: name the currency of the events in the metric.",
        evidence=_to_evidence(found),
    )


def _find_left_out(found: Sequence[Currencies]) -> Finding:
    worst = max(found, key=_left_out_share)
    left = sum(worst.left_out.values())
    of = left + sum(worst.counted.values())
    return Finding(
        code="currencies_left_out",
        severity="note",
        title="Values in other currencies are left out",
        detail=f"{worst.metric} leaves out {left:,} of {of:,} events because of their currency: "
        f"{_say_shares(worst.left_out, of=of)}.{_say_more(found)} What the arms earned there is "
        "not in the result.",
        evidence=_to_evidence(found),
    )


def _is_mixed(one: Currencies) -> bool:
    """Say if values of two currencies are counted; who says none means the metric's own."""
    said = {code for code in one.counted if code}
    if one.own is not None and "" in one.counted:
        said.add(one.own)
    return len(said) > 1


def _is_misnamed(one: Currencies) -> bool:
    return one.own is not None and any(code not in ("", one.own) for code in one.counted)


def _foreign_share(one: Currencies) -> float:
    """Return the share of events in another currency than the metric's own, or than most."""
    said = {code: count for code, count in one.counted.items() if code}
    own = one.own or max(said, key=lambda code: said[code])
    return sum(n for code, n in said.items() if code != own) / sum(one.counted.values())


def _left_out_share(one: Currencies) -> float:
    left = sum(one.left_out.values())
    return left / (left + sum(one.counted.values()))


def _say_shares(counts: Mapping[str, int], *, of: int | None = None) -> str:
    """Say currencies with their shares, the largest first; the many small ones together."""
    whole = of or sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if len(ordered) > MOST_NAMED:
        rest = sum(count for _, count in ordered[MOST_NAMED:])
        ordered = [*ordered[:MOST_NAMED], (f"{len(ordered) - MOST_NAMED} more", rest)]
    return say_list([f"{name or NONE_SAID} ({_say_share(n / whole)})" for name, n in ordered])


def _say_share(share: float) -> str:
    return "under 1%" if share < 0.01 else f"{share:.0%}"


def _say_more(found: Sequence[Currencies]) -> str:
    others = [one.metric for one in found[1:]]
    return f" The same holds for {len(others)} more." if others else ""


def _to_evidence(found: Sequence[Currencies]) -> dict[str, object]:
    return {
        "found": [
            {
                "metric": one.metric,
                "currency": one.own,
                "counted": dict(Counter(one.counted)),
                "left_out": dict(one.left_out),
            }
            for one in found
        ]
    }
