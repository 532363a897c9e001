"""Keeps a form from overwriting what somebody else saved since it was shown."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

# The hidden input by which a page says what it showed.
SEEN = "seen"
OVERTAKEN = (
    "Somebody saved this since you opened it. What is there now is said at each field that "
    "differs; your own entries are kept. Save again to put yours in its place."
)
BESIDES = (
    "What has no field here, such as a row, was changed too: open the page in another tab to see "
    "it. Saving again leaves what is here."
)


class CarefulForm(forms.BaseForm):
    """A form that sends back, in short, what it showed, and so knows what was saved since.

    Its page has the line `{% include "_seen.html" %}`. Whoever saves makes the form of the record
    as it is, locked, and asks `is_current` after `is_valid`. Two who change different fields of one
    form are told of each other too: what both say together nobody may have meant. Whoever sends the
    same twice, by two clicks, is not.
    """

    overtaken: Sequence[str] = ()

    @property
    def stored(self) -> Mapping[str, Any]:
        """What is stored now, by field, and what belongs to it and has no field here."""
        fields = {
            name: self.get_initial_for_field(field, name)
            for name, field in self.fields.items()
            if not field.widget.is_hidden
        }
        hidden = self.fields.keys() - fields.keys()
        return fields | {name: said for name, said in self.initial.items() if name not in hidden}

    @property
    def seen(self) -> str:
        """What the page sends back: a mark of what is stored, or was when it was first shown."""
        sent: str = self.data.get(SEEN, "")
        if sent and not self.overtaken:
            return sent
        return " ".join(f"{name}:{_mark(said)}" for name, said in self.stored.items())

    def passed_over(self) -> Collection[str]:
        """Return names of what is not saved, as the form is filled in."""
        return ()

    def is_current(self, **sent: Any) -> bool:
        """Tell whether saving overwrites nothing that its page did not show; else say what.

        Args:
            sent: What is to be saved of what has no field.
        """
        shown = dict(pair.rpartition(":")[::2] for pair in self.data.get(SEEN, "").split())
        # A page from before there were marks, or a program: it says what it wants.
        if not shown:
            return True
        stored, passed_over = self.stored, self.passed_over()
        self.overtaken = [
            name
            for name, said in stored.items()
            if name not in passed_over
            and shown.get(name, _mark(None)) != _mark(said)
            and self._differs(name, said, sent)
        ]
        # What could be changed and cannot be any more.
        self.overtaken += [name for name in shown if name not in stored]
        for name in self.overtaken:
            if name in self.fields:
                said = say(self.fields[name], stored[name])
                self.add_error(name, f"Meanwhile it was saved as {said}.")
        if self.overtaken:
            is_all = all(name in self.fields or name in sent for name in self.overtaken)
            self.add_error(None, OVERTAKEN if is_all else f"{OVERTAKEN} {BESIDES}")
        return not self.overtaken

    def _differs(self, name: str, said: Any, sent: Mapping[str, Any]) -> bool:
        """Tell whether what is sent is something else than what is stored."""
        if name not in self.fields:
            return bool(
                sent.get(name, self.data.get(name)) != (said if name in sent else str(said))
            )
        field = self.fields[name]
        if isinstance(field, forms.IntegerField):
            # Also decimal numbers, which records give as texts.
            said = field.to_python(said)
        return not field.disabled and field.has_changed(said, self[name].data)


def check_shown(
    sent: Mapping[str, Any], *, settling: Collection[str], digest: Callable[[], str]
) -> None:
    """Let nobody do what settles a record, if it is another than its page showed.

    Args:
        sent: What was posted: the digest of what was `shown`, and what to `do`.
        settling: What settles it.
        digest: Says it of the record as it is.

    Raises:
        ValidationError: Somebody changed it since.
    """
    shown = sent.get("shown")
    if shown and sent.get("do") in settling and shown != digest():
        raise ValidationError("Somebody changed it since you opened this page: look at it again.")


def say(field: forms.Field, value: Any) -> str:
    """Say a stored value as its field would show it."""
    if value is None or value in ("", [], ()):
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(field, forms.ModelChoiceField):
        try:
            found = field.clean(value)
        except ValidationError:
            return f"“{value}”"
        many = isinstance(field, forms.ModelMultipleChoiceField)
        return ", ".join(f"“{one}”" for one in (found if many else [found]))
    if isinstance(field, forms.ChoiceField):
        choices: Any = field.choices
        labels = {str(key): label for key, label in choices}
        values = value if isinstance(value, list) else [value]
        return ", ".join(f"“{labels.get(str(one), one)}”" for one in values)
    return f"“{field.widget.format_value(field.prepare_value(value))}”"


def _mark(value: Any) -> str:
    """Shorten a value to something that another value does not have."""
    written = json.dumps(value, default=_plain, sort_keys=True)
    return hashlib.blake2s(written.encode(), digest_size=6).hexdigest()


def _plain(value: Any) -> Any:
    return getattr(value, "pk", None) or str(value)
