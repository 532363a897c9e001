"""Templates of messages: the text with placeholders that a marketer writes, and nothing more.

They are Jinja2's, in its sandbox, cut down to what a message needs before anything is compiled:
names of plain data, conditions, loops over given lists and a few filters. Nothing is called, no
attribute of a Python object is read, and what a template can cost is bounded by its size. So it
does not matter that it was written by somebody whom we do not know.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

from jinja2 import ChainableUndefined, Template, TemplateSyntaxError
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import escape

from campaigns.templating.checks import TESTS, BadTemplate, check_tree
from campaigns.templating.filters import FILTERS, MOST_OF_A_VALUE, to_text

MOST_CHARACTERS = 200_000
MOST_OUTPUT = 500_000
MOST_ITEMS = 100
DEEPEST_DATA = 4
LARGEST = 1e15

LOOP_FIELDS = frozenset({"index", "index0", "first", "last", "length"})


class Kind(Enum):
    """Where the text of a template goes, which says what has to be escaped."""

    HTML = "html"
    TEXT = "text"
    LINE = "line"
    JSON = "json"


class Unrenderable(ValueError):
    """A template that cannot be rendered for somebody, and why."""


class _Environment(ImmutableSandboxedEnvironment):
    """A sandbox in which only plain data has fields."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    intercepted_unops = frozenset({"+", "-"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict):
            return obj[attribute] if attribute in obj else self.undefined(name=attribute)
        if isinstance(obj, LoopContext) and attribute in LOOP_FIELDS:
            return getattr(obj, attribute)
        return self.undefined(name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, dict) and isinstance(argument, str):
            return self.getattr(obj, argument)
        if isinstance(obj, list) and isinstance(argument, int) and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined(name=str(argument)[:60])

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return False

    def is_safe_callable(self, obj: Any) -> bool:
        return False

    def call(*_: Any, **__: Any) -> Any:
        raise SecurityError("Nothing can be called in a template.")

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if not all(isinstance(side, int | float) for side in (left, right)):
            raise SecurityError("Only numbers can be calculated with.")
        try:
            number = super().call_binop(context, operator, left, right)
        except (ZeroDivisionError, OverflowError) as error:
            raise SecurityError(f"It cannot be calculated: {error}.") from error
        if abs(number) > LARGEST:
            raise SecurityError("A number is too large.")
        return number


def _finalize_json(value: object) -> object:
    return json.dumps(to_text(value), ensure_ascii=False)[1:-1]


def _make_environment(kind: Kind) -> _Environment:
    environment = _Environment(
        autoescape=kind is Kind.HTML,
        undefined=ChainableUndefined,
        # Comments and line statements are nowhere needed, and `{#` stands in style sheets.
        comment_start_string="{#-",
        comment_end_string="-#}",
        finalize=_finalize_json if kind is Kind.JSON else lambda v: "" if v is None else v,
    )
    environment.globals.clear()
    environment.filters.clear()
    environment.filters.update(FILTERS)
    environment.tests = {name: environment.tests[name] for name in TESTS}
    return environment


_ENVIRONMENTS = {kind: _make_environment(kind) for kind in Kind}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A template that was checked."""

    kind: Kind
    template: Template

    def render(self, data: Mapping[str, Any]) -> str:
        """Write the text for somebody; `data` is what `to_plain` returned.

        Raises:
            Unrenderable: It is too long, calculates with what is no number, or is no JSON.
        """
        parts: list[str] = []
        size = 0
        try:
            context = self.template.new_context(dict(data))
            for part in self.template.root_render_func(context):
                parts.append(part)
                size += len(part)
                if size > MOST_OUTPUT:
                    raise Unrenderable(f"The text is longer than {MOST_OUTPUT} characters.")
        except TemplateError as error:
            raise Unrenderable(str(error)) from error
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            if isinstance(error, Unrenderable):
                raise
            raise Unrenderable(f"{type(error).__name__}: {error}"[:200]) from error
        text = "".join(parts)
        if self.kind is Kind.LINE:
            # A header ends where its line ends, so there is only one.
            return " ".join("".join(c if c.isprintable() else " " for c in text).split())
        if self.kind is Kind.JSON:
            _check_json(text)
        return text


def compile_template(source: str, *, kind: Kind) -> Compiled:
    """Check a template and compile it.

    Raises:
        BadTemplate: It cannot be read, does what a message may not, or lacks a fallback.
    """
    return _compile(source, kind)


@lru_cache(maxsize=512)
def _compile(source: str, kind: Kind) -> Compiled:
    if len(source) > MOST_CHARACTERS:
        raise BadTemplate(f"It is longer than {MOST_CHARACTERS:,} characters.")
    environment = _ENVIRONMENTS[kind]
    try:
        tree = environment.parse(source)
    except TemplateSyntaxError as error:
        raise BadTemplate(f"Line {error.lineno} cannot be read: {error.message}") from error
    except (RecursionError, ValueError, OverflowError, MemoryError) as error:
        raise BadTemplate("It cannot be read.") from error
    try:
        check_tree(tree)
        return Compiled(kind, environment.from_string(source))
    except (TemplateError, RecursionError, SyntaxError, OverflowError, MemoryError) as error:
        raise BadTemplate("It is too deeply nested, or cannot be read.") from error


def to_plain(value: object, *, depth: int = 0) -> Any:
    """Return data of which a template may see everything: dicts, lists, strings, numbers.

    Strings and lists are cut where they are too long, and what is nothing of these is left out.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value)[:MOST_OF_A_VALUE]
    if depth >= DEEPEST_DATA:
        return None
    if isinstance(value, Mapping):
        items = list(value.items())[:MOST_ITEMS]
        return {str(k): to_plain(v, depth=depth + 1) for k, v in items}
    if isinstance(value, list | tuple):
        return [to_plain(item, depth=depth + 1) for item in value[:MOST_ITEMS]]
    return None


def _check_json(text: str) -> None:
    try:
        json.loads(text)
    except ValueError as error:
        raise Unrenderable(f"It is no JSON: {error}") from error


def escape_html(text: str) -> str:
    """Escape plain text for a page."""
    return str(escape(text))
