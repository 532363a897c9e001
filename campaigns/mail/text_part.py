"""Makes the part of a mail that readers without pictures see, of its HTML."""

import re
from html.parser import HTMLParser

UNSEEN = frozenset({"head", "style", "script", "title"})
BLOCKS = frozenset(
    {
        "p",
        "div",
        "tr",
        "table",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "li",
        "br",
        "hr",
        "section",
    }
)
VOID = frozenset({"br", "hr", "img", "area", "col", "wbr", "link", "meta", "input"})


def to_text(html: str) -> str:
    """Return a mail's words and where its links lead, with the placeholders of both."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = ["".join(line.split("\x00")) for line in reader.text.splitlines()]
    lines = [re.sub(r"[ \t\xa0]+", " ", line).strip() for line in lines]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self._hidden: list[str] = []
        self._links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in VOID and (self._hidden or tag in UNSEEN or _is_hidden(given.get("style"))):
            self._hidden.append(tag)
        if self._hidden:
            return
        if tag in BLOCKS:
            self.text += "\n- " if tag == "li" else "\n"
        if tag == "a":
            self._links.append(given.get("href") or "")
        if tag == "img" and given.get("alt"):
            self.text += str(given["alt"])

    def handle_endtag(self, tag: str) -> None:
        if self._hidden:
            if tag == self._hidden[-1]:
                self._hidden.pop()
            return
        if tag == "a" and self._links:
            link = self._links.pop()
            if link and not link.startswith("#") and not self.text.endswith(link):
                self.text += f": {link}"
        if tag in BLOCKS:
            self.text += "\n\n" if tag in {"p", "h1", "h2", "h3", "table"} else "\n"

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += re.sub(r"\s+", " ", data)


def _is_hidden(style: str | None) -> bool:
    return style is not None and "display:none" in style.replace(" ", "")
