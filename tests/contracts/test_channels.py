"""What every channel promises."""

import inspect
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from audience.models import Channel as ChannelName
from campaigns.channels import CHANNELS
from campaigns.channels.base import Draft, Recipient, Sender
from campaigns.templating.checks import BadTemplate
from campaigns.templating.templates import to_plain

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SENDER = Sender("spring", "marketing", "https://lab.example", "Shop <shop@shop.example>", "a key")
MJML = "<mjml><mj-body><mj-section><mj-column>{}</mj-column></mj-section></mj-body></mjml>"
# A message of each channel with a text in it.
WRITE: Mapping[str, Any] = {
    "email": lambda text: Draft("Hello", "", MJML.format(f"<mj-text>{text}</mj-text>")),
    "webhook": lambda text: Draft("https://hooks.example/in", "", f'{{"text": "{text}"}}'),
}
ADDRESSES = {"email": "ana@mail.example", "webhook": "c1"}
DATA = to_plain(
    {
        "customer": {"name": "Ana", "key": "c1"},
        "offer": dict.fromkeys(("key", "name", "headline", "text", "link", "image"), "x"),
        "campaign": {"key": "spring", "name": "Spring"},
        "message": {"language": ""},
    }
)


def prepare(name: str, text: str) -> Any:
    channel, draft = CHANNELS[name], WRITE[name](text)
    html = channel.check(draft)
    return channel.prepare(Draft(draft.subject, "", draft.body, "", html), SENDER)


def to(name: str, delivery_id: int = 7, *, is_test: bool = False) -> Recipient:
    url = "https://lab.example/u/token"
    return Recipient(delivery_id, ADDRESSES[name], DATA, url, is_test=is_test)


def test_there_is_one_for_each_that_customers_can_agree_to() -> None:
    assert set(CHANNELS) == set(ChannelName.values)


@pytest.mark.parametrize("name", CHANNELS)
def test_it_has_a_name_and_a_file_of_its_own(name: str) -> None:
    assert CHANNELS[name].name
    assert inspect.getmodule(type(CHANNELS[name])).__name__ == f"campaigns.channels.{name}"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", CHANNELS)
def test_what_is_personal_is_written_and_needs_a_fallback(name: str) -> None:
    form = prepare(name, "Dear {{ customer.name | default('friend') }}")
    assert b"Dear Ana" in form.write(to(name), now=NOW).content
    with pytest.raises(BadTemplate, match=r"customer\.name"):
        CHANNELS[name].check(WRITE[name]("Dear {{ customer.name }}"))


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("nasty", ['"', "<i>", "\\", "\n", "{{ 1 }}", "&", "\0", "😀", "\r\n.\r\n"])
def test_a_name_that_means_something_to_the_format_does_not_here(name: str, nasty: str) -> None:
    form = prepare(name, "{{ customer.name | default('friend') }}")
    data = {**DATA, "customer": {"name": f"A{nasty}B", "key": "c1"}}
    content = form.write(Recipient(7, ADDRESSES[name], data, "https://u.example"), now=NOW).content
    assert b"{{" not in content or "{{" in nasty
    assert b"\n.\n" not in content.replace(b"\r", b"") or name == "email"
    assert b"A" in content


@pytest.mark.parametrize("name", CHANNELS)
def test_a_delivery_always_has_the_same_message_id_and_no_other_has_it(name: str) -> None:
    form = prepare(name, "Hello")
    later = datetime(2026, 3, 3, tzinfo=UTC)
    assert form.write(to(name), now=NOW).message_id == form.write(to(name), now=later).message_id
    assert form.write(to(name), now=NOW).message_id != form.write(to(name, 8), now=NOW).message_id
    test = form.write(to(name, 0, is_test=True), now=NOW)
    assert test.message_id != form.write(to(name, 0, is_test=True), now=later).message_id


@pytest.mark.parametrize("name", CHANNELS)
def test_what_is_broken_is_refused(name: str) -> None:
    for text in ("{{ nobody }}", "{{ customer.x | shout }}", "{% if %}", "{{ ''.__class__ }}"):
        with pytest.raises(BadTemplate):
            CHANNELS[name].check(WRITE[name](text))


@pytest.mark.parametrize("name", CHANNELS)
def test_nobody_without_an_address_is_reached(name: str) -> None:
    assert CHANNELS[name].address_of({}, {}) == ""
    known = {"key": "c1", "email": "ana@mail.example"}
    assert CHANNELS[name].address_of({}, known) == ADDRESSES[name]
