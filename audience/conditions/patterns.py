"""Reads regular expressions, and refuses those that could take for ever.

Python's engine tries every way in which a pattern may match, and some patterns have more ways than
anybody can wait for. So patterns and texts are short, nothing that varies is repeated, and little
varies at all.
"""

import re
from functools import lru_cache
from typing import Any

LONGEST = 200
# Only the beginning of a longer text is looked at.
LOOKED_AT = 500
# How open a pattern may be: what may be one thing or another counts 1, and what may come any number
# of times counts 3. The slowest pattern that this allows takes less than a second for such a text.
MOST_OPEN = 8
REPEAT = 3

# An escape or a set of characters, the beginning of a group, and how often something may come.
_TOKEN = re.compile(
    r"(?P<skip>\\.|\[\^?\]?(?:\\.|[^\]\\])*\])"
    r"|(?P<opens>\((?:\?(?:[:=!]|<[=!]|P?<\w+>))?)"
    r"|(?P<closes>\))"
    r"|(?P<either>\|)"
    r"|(?P<times>(?:[*+?]|\{\d+(?:,\d*)?\}|\{,\d+\})[?+]?)",
    re.DOTALL,
)
_EXACTLY = re.compile(r"\{\d+\}")


def why_refused(pattern: str) -> str | None:
    """Say in a sentence why a pattern is not taken, or return None if it is."""
    if len(pattern) > LONGEST:
        return f"A pattern may have {LONGEST} characters."
    try:
        re.compile(pattern)
    except (re.error, OverflowError) as error:
        return f"This is no regular expression: {error}."
    return _why_slow(pattern)


def _why_slow(pattern: str) -> str | None:
    # Whether each group that is open can be met in several ways; the first is the whole pattern.
    varies = [False]
    # Where a group ended that can be met in several ways.
    ended = -1
    openness = 0
    for token in _TOKEN.finditer(pattern):
        kind, text = token.lastgroup, token.group()
        if kind == "opens":
            varies.append(False)
        elif kind == "closes":
            inner = varies.pop()
            varies[-1] |= inner
            openness += inner
            ended = token.end() if inner else -1
        elif kind == "times" and token.start() == ended and text[0] != "?":
            return "What varies may not be repeated, as in (a+)+ or (a|b)*."
        elif kind in ("either", "times") and not _EXACTLY.match(text):
            varies[-1] = True
            openness += {"?": 1, "|": 0}.get(text[0], REPEAT)
    if openness > MOST_OPEN:
        return "It leaves too much open; two parts that may be repeated are the most."
    return None


def is_found(pattern: Any, text: Any, *, ignore_case: bool = False) -> bool:
    """Say whether a pattern is found in a text; a refused pattern is found nowhere."""
    if not isinstance(pattern, str) or not isinstance(text, str):
        return False
    compiled = _compile(pattern, re.IGNORECASE if ignore_case else re.NOFLAG)
    return compiled is not None and compiled.search(text[:LOOKED_AT]) is not None


@lru_cache(maxsize=512)
def _compile(pattern: str, flags: re.RegexFlag) -> re.Pattern[str] | None:
    return None if why_refused(pattern) else re.compile(pattern, flags)
