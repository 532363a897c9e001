"""Turns MJML, which looks the same in every mail program, into HTML; what it does not know is said.

The compiler leaves unknown elements as they are, and a reader would see a gap. So they are looked
for first, together with what has no place in a mail: scripts, and files of this machine.
"""

from html.parser import HTMLParser

import mrml

from campaigns.mail.starters import without_remark
from campaigns.templating.checks import BadTemplate
from campaigns.templating.templates import escape_html

HEAD = frozenset(
    {
        "mj-head",
        "mj-title",
        "mj-preview",
        "mj-attributes",
        "mj-all",
        "mj-class",
        "mj-style",
        "mj-breakpoint",
        "mj-font",
        "mj-html-attributes",
    }
)
# Within these stands HTML; everywhere else only elements of MJML.
TEXTUAL = frozenset(
    {
        "mj-text",
        "mj-button",
        "mj-table",
        "mj-raw",
        "mj-title",
        "mj-preview",
        "mj-style",
        "mj-navbar-link",
        "mj-social-element",
        "mj-accordion-title",
        "mj-accordion-text",
    }
)
BODY = frozenset(
    {
        "mjml",
        "mj-body",
        "mj-section",
        "mj-column",
        "mj-group",
        "mj-wrapper",
        "mj-image",
        "mj-divider",
        "mj-spacer",
        "mj-hero",
        "mj-social",
        "mj-navbar",
        "mj-carousel",
        "mj-carousel-image",
        "mj-accordion",
        "mj-accordion-element",
    }
)
KNOWN = HEAD | BODY | TEXTUAL
# mj-class and mj-all stand for other elements; elsewhere an element has these attributes' names.
FORBIDDEN = frozenset(
    {"script", "iframe", "object", "embed", "form", "input", "button", "textarea", "base", "meta"}
)
VOID = frozenset({"br", "hr", "img", "area", "col", "wbr", "link"})
ADDRESSES = frozenset({"href", "src", "action", "background-url"})
SCHEMES = ("http:", "https:", "mailto:", "tel:", "cid:")


def compile_mjml(source: str, *, preheader: str = "") -> str:
    """Return a mail's HTML, with its placeholders in it.

    Args:
        source: The MJML.
        preheader: What an inbox shows beside the subject, with placeholders.

    Raises:
        BadTemplate: It has an element that does not exist or has no place in a mail, or is broken.
    """
    source = without_remark(source)
    finder = _Finder()
    finder.feed(source)
    finder.close()
    if finder.problem:
        raise BadTemplate(finder.problem)
    if "mjml" not in finder.seen or "mj-body" not in finder.seen:
        raise BadTemplate("It needs <mjml> and in it <mj-body>.")
    try:
        html = str(mrml.to_html(_preview(source, preheader), None, RENDERING).content)
    except OSError as error:
        raise BadTemplate(f"It cannot be read: {error}.") from error
    return html


# A font that is fetched from somebody tells them who opened the mail.
RENDERING = mrml.RenderOptions(fonts={})


def _preview(source: str, preheader: str) -> str:
    if not preheader:
        return source
    preview = f"<mj-preview>{escape_html(preheader)}</mj-preview>"
    # Placeholders are no text of the mail: their quotes stay as they were written.
    preview = preview.replace("&#34;", '"').replace("&#39;", "'")
    if "<mj-head>" in source:
        return source.replace("<mj-head>", f"<mj-head>{preview}", 1)
    return source.replace("<mj-body", f"<mj-head>{preview}</mj-head><mj-body", 1)


class _Finder(HTMLParser):
    """Looks for the first element that may not be where it is."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.problem = ""
        self.seen: set[str] = set()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._look(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._look(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if data.strip() and inside in BODY and not self._in_text():
            self._complain(f"“{data.strip()[:40]}” stands outside of a text: put it in <mj-text>.")

    def _in_text(self) -> bool:
        return any(tag in TEXTUAL for tag in self._open)

    def _look(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag.startswith("mj"):
            if tag not in KNOWN:
                self._complain(f"<{tag}> is not known.")
        elif tag in FORBIDDEN:
            self._complain(f"<{tag}> has no place in a mail.")
        elif not (self._in_text() or "mj-attributes" in self._open):
            self._complain(f"<{tag}> can stand only in a text, such as <mj-text>.")
        for name, value in attrs:
            if name.startswith("on"):
                self._complain(f"“{name}” has no place in a mail.")
            if name in ADDRESSES and value and not _is_address(value):
                self._complain(f"The address “{value[:60]}” is none of a page.")

    def _complain(self, problem: str) -> None:
        self.problem = self.problem or f"Line {self.getpos()[0]}: {problem}"


def _is_address(value: str) -> bool:
    before_placeholder = value.strip().lower().partition("{{")[0]
    return ":" not in before_placeholder or before_placeholder.startswith(SCHEMES)
