"""A rule as the builder's page shows it: groups of rows, each of which is one condition."""

from dataclasses import dataclass

from audience.rules.grammar import All, Not, Rule, Some

JOINS = ("all", "any")


@dataclass(frozen=True, slots=True)
class Row:
    """One condition, or that it does not hold."""

    test: Rule
    negated: bool = False

    @property
    def rule(self) -> Rule:
        """The row as a rule."""
        return Not(self.test) if self.negated else self.test


@dataclass(frozen=True, slots=True)
class Group:
    """Rows all of which, or any of which, hold."""

    joined: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """Groups all of which, or any of which, hold."""

    joined: str
    groups: tuple[Group, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows, in their order."""
        return tuple(row for group in self.groups for row in group.rows)

    @property
    def rule(self) -> Rule:
        """What the draft means; without rows it is everybody."""
        return self.first(len(self.rows))

    def first(self, count: int) -> Rule:
        """Return what the draft would mean with so many of its rows; without any, everybody."""
        parts: list[Rule] = []
        for group in self.groups:
            rows = [row.rule for row in group.rows[:count]]
            count -= len(rows)
            if len(rows) == 1:
                parts.append(rows[0])
            elif rows:
                parts.append(_join(group.joined, rows))
        if len(parts) == 1:
            return parts[0]
        return _join(self.joined, parts) if parts else All(())


def to_draft(rule: Rule) -> Draft | None:
    """Return a rule as groups of rows; None if it is nested deeper than these."""
    joined, parts = _open(rule)
    groups: list[Group] = []
    for part in parts:
        if isinstance(part, All | Some):
            inner, rows = _open(part)
        else:
            inner, rows = "all", (part,)
        if not rows or any(_is_group(row) for row in rows):
            return None
        groups.append(Group(inner, tuple(map(_to_row, rows))))
    # A single group is that of its rows; of single rows, one group is enough.
    if all(len(group.rows) == 1 for group in groups) and groups:
        return Draft("all", (Group(joined, tuple(group.rows[0] for group in groups)),))
    return Draft(joined, tuple(groups))


def _open(rule: Rule) -> tuple[str, tuple[Rule, ...]]:
    if isinstance(rule, All):
        return "all", rule.parts
    if isinstance(rule, Some):
        return "any", rule.parts
    return "all", (rule,)


def _is_group(rule: Rule) -> bool:
    if isinstance(rule, Not):
        return isinstance(rule.part, All | Some | Not)
    return isinstance(rule, All | Some)


def _to_row(rule: Rule) -> Row:
    return Row(rule.part, negated=True) if isinstance(rule, Not) else Row(rule)


def _join(joined: str, parts: list[Rule]) -> Rule:
    return All(tuple(parts)) if joined == "all" else Some(tuple(parts))
