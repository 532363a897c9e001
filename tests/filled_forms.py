"""What a browser sends of a page's form when nobody changes anything on it."""

from html.parser import HTMLParser

from django.test import Client

Sent = dict[str, list[str]]
# What is said where somebody else saved the same form in the meantime.
MEANWHILE = "Somebody saved this since you opened it."


class _Reader(HTMLParser):
    """Reads the forms that are posted; inputs as HTML says that they are sent."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Sent] = []
        self._is_inside = False
        self._select = ""
        self._area = ""
        self._has_first = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "form":
            self._is_inside = given.get("method") == "post"
            self.forms += [{}] if self._is_inside else []
        if not self._is_inside:
            return
        if tag == "select":
            self._select = name
            self._has_first = "multiple" not in given
        elif tag == "option" and self._select:
            self._choose(given)
        elif tag == "textarea":
            self._area = name
            self._send(name, "")
        elif tag == "input" and name:
            is_tick = given.get("type") in {"checkbox", "radio"}
            if not is_tick or "checked" in given:
                self._send(name, given.get("value", "on" if is_tick else ""))

    def handle_data(self, data: str) -> None:
        if self._area:
            sent = self.forms[-1][self._area]
            # A browser leaves out the line break behind the tag.
            sent[-1] = (sent[-1] + data).removeprefix("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._is_inside = False
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._area = ""

    def _choose(self, option: dict[str, str]) -> None:
        """Take what is selected; of a list where nothing is, the first."""
        if "selected" in option:
            self.forms[-1][self._select] = [option.get("value", "")]
        elif self._has_first:
            self._send(self._select, option.get("value", ""))
        self._has_first = False

    def _send(self, name: str, value: str) -> None:
        self.forms[-1].setdefault(name, []).append(value)


def open_form(client: Client, address: str, *, having: str) -> Sent:
    """Return what the form sends that has this field."""
    return read_form(client.get(address).content.decode(), having=having)


def read_form(page: str, *, having: str) -> Sent:
    """Return what the form of a page sends that has this field."""
    reader = _Reader()
    reader.feed(page)
    (found,) = [form for form in reader.forms if having in form]
    return found
