"""Puts other audiences in the place where a rule names them."""

from collections.abc import Callable, Iterator

from audience.rules.grammar import All, In, Listed, NoRule, Not, Rule, Some

# An audience's rule, or its list; None if there is no such audience.
Find = Callable[[str], "Rule | None"]

# A few audiences of each other's would else write one that nobody can evaluate.
MOST_PARTS = 1_000


def inline(rule: Rule, find: Find, *, own_key: str | None = None) -> Rule:
    """Return the rule without names of audiences.

    Args:
        rule: Any.
        find: Returns another audience's rule by its key; of a list it is `Listed`.
        own_key: Of the audience that the rule is of.

    Raises:
        NoRule: It names an audience that is not there, or that in the end names itself, or becomes
            too large.
    """
    inliner = _Inliner(find)
    return inliner.inline(rule, () if own_key is None else (own_key,))


def find_names(rule: Rule) -> Iterator[str]:
    """Find the keys of the audiences that a rule names itself."""
    match rule:
        case All(parts) | Some(parts):
            for part in parts:
                yield from find_names(part)
        case Not(part):
            yield from find_names(part)
        case In(audience):
            yield audience


class _Inliner:
    def __init__(self, find: Find) -> None:
        self._find = find
        self._parts = 0

    def inline(self, rule: Rule, within: tuple[str, ...]) -> Rule:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise NoRule("With the audiences that it names, the rule becomes too large.")
        match rule:
            case All(parts):
                return All(tuple(self.inline(part, within) for part in parts))
            case Some(parts):
                return Some(tuple(self.inline(part, within) for part in parts))
            case Not(part):
                return Not(self.inline(part, within))
            case In(audience):
                return self._put(audience, within)
        return rule

    def _put(self, key: str, within: tuple[str, ...]) -> Rule:
        if key in within:
            raise NoRule(f"The audience {key} would be defined by itself.")
        rule = self._find(key)
        if rule is None:
            raise NoRule(f"There is no audience {key}.")
        return rule if isinstance(rule, Listed) else self.inline(rule, (*within, key))
