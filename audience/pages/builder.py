"""The builder: what is typed into its page, and the draft that this is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django import forms

from audience.customers.sampling import find_paths, sample_attributes, sample_events
from audience.models import Audience
from audience.overwriting import CarefulForm
from audience.pages.rows import ROWS, RowForm
from audience.pages.showing import Typed, to_typed
from audience.rules.draft import JOINS, Draft, Group

MOST_ROWS = 30
MOST_GROUPS = 10


class AboutForm(CarefulForm, forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """What an audience is called, and by which rule the page was filled in."""

    class Meta:
        model = Audience
        fields = ["name", "description"]
        widgets = {"description": forms.Textarea(attrs={"rows": 2})}

    @property
    def stored(self) -> Mapping[str, Any]:
        """What is stored now; the rule is not a field, but what the rows of the page are."""
        return {**super().stored, "rule": self.instance.rule}


class Offered:
    """What the page offers to choose from, as seen in the data: looked for when first needed."""

    def __init__(self, *, besides: str = "") -> None:
        """Offer every audience but one."""
        self._besides = besides

    @cached_property
    def attributes(self) -> Mapping[str, bool]:
        """The attributes of a sample, and whether each is always a text."""
        return find_paths(sample_attributes())

    @cached_property
    def _sample(self) -> list[tuple[str, dict[str, Any]]]:
        return sample_events()

    @cached_property
    def events(self) -> list[str]:
        """The names of events of a sample."""
        return sorted({name for name, _ in self._sample})

    @cached_property
    def properties(self) -> Mapping[str, bool]:
        """The properties of a sample of events, and whether each is always a text."""
        return find_paths(properties for _, properties in self._sample)

    @cached_property
    def audiences(self) -> Mapping[str, str]:
        """The names of audiences, by their keys."""
        return dict(Audience.objects.exclude(key=self._besides).values_list("key", "name"))

    def is_text(self, path: str) -> bool:
        """Say whether an attribute is always a text."""
        return self.attributes.get(path, False)

    def is_text_property(self, path: str) -> bool:
        """Say whether a property is always a text."""
        return self.properties.get(path, False)


@dataclass(slots=True)
class TypedGroup:
    """A group as it is typed: how its rows are joined, and each row."""

    joined: str = "all"
    rows: list[Typed] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row on the page: its number among all, and its form."""

    number: int
    form: RowForm


@dataclass(frozen=True, slots=True)
class ShownGroup:
    """A group on the page."""

    number: int
    joined: str
    rows: list[ShownRow]


@dataclass
class Builder:
    """Groups of rows as they are typed; `change` does what a button asks for."""

    offered: Offered
    joined: str = "all"
    groups: list[TypedGroup] = field(default_factory=lambda: [TypedGroup()])

    @classmethod
    def of(cls, draft: Draft, offered: Offered) -> "Builder | None":
        """Show a draft; None if the page has no rows for it, or not so many."""
        if len(draft.rows) > MOST_ROWS or len(draft.groups) > MOST_GROUPS:
            return None
        groups = []
        for group in draft.groups:
            rows = [to_typed(row) for row in group.rows]
            groups.append(TypedGroup(group.joined, [row for row in rows if row is not None]))
            if None in rows:
                return None
        return cls(offered, draft.joined, groups or [TypedGroup()])

    @classmethod
    def typed(cls, data: Mapping[str, str], offered: Offered) -> "Builder":
        """Take what was posted; what the page never sends is left out."""
        count = min(_whole(data.get("group_count", "")) or 1, MOST_GROUPS)
        groups = [TypedGroup(_joined(data.get(f"joined_{n}"))) for n in range(count)]
        for number in range(min(_whole(data.get("row_count", "")), MOST_ROWS)):
            prefix = f"row{number}-"
            typed = {
                name.removeprefix(prefix): value
                for name, value in data.items()
                if name.startswith(prefix)
            }
            place = _whole(typed.pop("group", ""))
            if typed.get("kind") in ROWS and place < count:
                groups[place].rows.append(typed)
        return cls(offered, _joined(data.get("joined")), groups)

    def change(self, wanted: str) -> None:
        """Add a row or a group, or remove a row, as a button says; ignore what none says."""
        verb, _, rest = wanted.partition(":")
        what, _, where = rest.partition(":")
        if verb == "add" and what in ROWS and _whole(where) < len(self.groups):
            if sum(len(group.rows) for group in self.groups) < MOST_ROWS:
                self.groups[_whole(where)].rows.append({"kind": what, **_USUAL.get(what, {})})
        elif verb == "remove":
            self._remove(_whole(what))
        elif verb == "group" and len(self.groups) < MOST_GROUPS:
            self.groups.append(TypedGroup("any"))
        self.__dict__.pop("shown", None)

    def _remove(self, number: int) -> None:
        for group in self.groups:
            if number < len(group.rows):
                del group.rows[number]
                break
            number -= len(group.rows)
        # A group without rows says nothing; one is left to add rows to.
        self.groups = [group for group in self.groups if group.rows] or self.groups[:1]

    @cached_property
    def shown(self) -> list[ShownGroup]:
        """The groups with the forms of their rows, numbered anew."""
        number = 0
        found = []
        for place, group in enumerate(self.groups):
            rows = []
            for typed in group.rows:
                prefix = f"row{number}"
                data = {f"{prefix}-{name}": value for name, value in typed.items()}
                form = ROWS[typed["kind"]](data, prefix=prefix, choices=self.offered)
                rows.append(ShownRow(number, form))
                number += 1
            found.append(ShownGroup(place, group.joined, rows))
        return found

    @property
    def forms(self) -> list[RowForm]:
        """The forms of all rows, in their order."""
        return [row.form for group in self.shown for row in group.rows]

    @property
    def is_valid(self) -> bool:
        """Whether every row is a condition."""
        return not self.incomplete

    @property
    def incomplete(self) -> list[int]:
        """The numbers, from 1, of rows that are no condition yet."""
        return [number for number, form in enumerate(self.forms, 1) if not form.is_valid()]

    @property
    def complete(self) -> list[int]:
        """The numbers, from 1, of the rows that the draft has."""
        return [number for number, form in enumerate(self.forms, 1) if form.is_valid()]

    @property
    def draft(self) -> Draft:
        """The draft that the valid rows are."""
        groups = []
        for group in self.shown:
            rows = tuple(row.form.row for row in group.rows if row.form.is_valid() and row.form.row)
            groups.append(Group(group.joined, rows))
        return Draft(self.joined, tuple(groups))


# What a new row begins with.
_USUAL: Mapping[str, Typed] = {
    "event": {"order": "at least", "times": "1", "window": "days", "days": "30"},
    "last": {"order": "within_days", "days": "30"},
    "total": {"order": "at_least", "window": "ever"},
}


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


def _joined(text: str | None) -> str:
    return text if text in JOINS else "all"
