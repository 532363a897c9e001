"""What a mail is made of."""

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest
from django.core import mail

from campaigns.channels import CHANNELS
from campaigns.channels.base import Draft, Recipient, Refused, Sender, Unsure
from campaigns.mail.links import Followed, make_link_key, read_link, sign_link
from campaigns.mail.mime import encode_header
from campaigns.mail.mjml import compile_mjml
from campaigns.mail.text_part import to_text
from campaigns.templating.checks import BadTemplate
from campaigns.templating.templates import to_plain

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SENDER = Sender("spring", "marketing", "https://lab.example", "Shop <shop@shop.example>", "a key")
PAGE = "<mjml><mj-body><mj-section><mj-column>{}</mj-column></mj-section></mj-body></mjml>"
CHANNEL = CHANNELS["email"]


def write(
    inner: str, *, subject: str = "Hello", text: str = "", preheader: str = "", **data: Any
) -> EmailMessage:
    draft = Draft(subject, preheader, PAGE.format(inner), text)
    html = CHANNEL.check(draft)
    form = CHANNEL.prepare(Draft(subject, preheader, draft.body, text, html), SENDER)
    address = data.pop("address", "ana@mail.example")
    plain = to_plain({"customer": data, "offer": {"link": "https://shop.example/o?a=1&b=2"}})
    url = "https://lab.example/u/token"
    outgoing = form.write(Recipient(7, address, plain, url), now=NOW)
    parsed = email.message_from_bytes(outgoing.content, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    assert parsed.defects == []
    assert max(map(len, outgoing.content.split(b"\r\n"))) <= 998
    return parsed


def part(mail_: EmailMessage, kind: str) -> str:
    found = mail_.get_body((kind,))
    assert found is not None
    content = found.get_content()
    assert isinstance(content, str)
    return content


def test_a_mail_can_be_declined_by_one_click() -> None:
    mail_ = write("<mj-text>Hi</mj-text>")
    assert mail_["List-Unsubscribe"] == "<https://lab.example/u/token>"
    assert mail_["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail_["List-Id"] == "<spring.lab.example>"
    assert mail_["Message-ID"] == "<7.spring@shop.example>"
    assert mail_["Date"] == "Mon, 02 Mar 2026 12:00:00 +0000"
    assert "spring" in mail_["Feedback-ID"]


def test_declining_by_mail_is_offered_where_somebody_reads_it(settings: Any) -> None:
    settings.UNSUBSCRIBE_MAILBOX = "leave@shop.example"
    assert (
        "<mailto:leave@shop.example?subject=unsubscribe>"
        in (write("<mj-text>Hi</mj-text>")["List-Unsubscribe"])
    )


def test_where_to_decline_is_in_every_mail_and_is_not_followed() -> None:
    forgotten = part(write("<mj-text>Hi</mj-text>"), "html")
    assert '<a href="https://lab.example/u/token">Unsubscribe</a>' in forgotten
    given = '<mj-text><a href="{{ message.unsubscribe_url }}">No more</a></mj-text>'
    html = part(write(given), "html")
    assert html.count("https://lab.example/u/token") == 1


def test_links_lead_through_us_to_where_they_were_written_to_lead() -> None:
    mail_ = write(
        '<mj-button href="https://shop.example/a?x=1&amp;y={{ customer.n | d(2) }}">A</mj-button>'
        '<mj-button href="{{ offer.link }}">B</mj-button>'
        '<mj-text><a href="mailto:shop@shop.example">C</a></mj-text>'
    )
    html, text = part(mail_, "html"), part(mail_, "plain")
    tokens = [link.split('"')[0] for link in html.split('href="https://lab.example/c/')[1:]]
    key = make_link_key(SENDER.key)
    assert [read_link(key, token) for token in tokens] == [
        Followed(7, 0, "https://shop.example/a?x=1&y=2"),
        Followed(7, 1, "https://shop.example/o?a=1&b=2"),
    ]
    assert 'href="mailto:shop@shop.example"' in html
    assert f"B: https://lab.example/c/{tokens[1]}" in text
    assert "https://lab.example/o/" in html


def test_a_link_of_a_customers_making_leads_nowhere() -> None:
    button = '<mj-button href="{{ customer.url | d("x") }}">A</mj-button>'
    for url in ("javascript:alert(1)", "data:text/html,x", "//evil", "https://a b", "x" * 3000):
        html = part(write(button.replace('"x"', "'x'"), url=url), "html")
        assert 'href="#"' in html


def test_a_token_that_was_changed_is_none() -> None:
    key = make_link_key("a key")
    token = sign_link(key, Followed(7, 0, "https://shop.example/"))
    assert read_link(key, token) == Followed(7, 0, "https://shop.example/")
    for place in range(len(token)):
        other = "A" if token[place] != "A" else "B"
        changed = token[:place] + other + token[place + 1 :]
        found = read_link(key, changed)
        # The last letter has bits that say nothing.
        assert found is None or place == len(token) - 1
    for nonsense in ("", "A", "é", "a" * 20, "%00", token[:-8], make_link_key("b").hex()):
        assert read_link(key, nonsense) is None
    assert read_link(make_link_key("another"), token) is None


def test_nobody_puts_a_header_into_a_mail() -> None:
    mail_ = write(
        "<mj-text>Hi</mj-text>",
        subject="Hi {{ customer.name | d('x') }}",
        name="A\r\nBcc: all@mail.example\r\n\r\nBody",
    )
    assert mail_["Bcc"] is None
    assert mail_["Subject"] == "Hi A Bcc: all@mail.example Body"
    with pytest.raises(ValueError, match="one line"):
        encode_header("a\nb")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "a@",
        "@b",
        "a@b\r\nRCPT TO:<c@d>",
        "a b@c",
        "<a@b>",
        "a@b,c@d",
        "ä@b",
        "a@b>",
        "a@-_",
    ],
)
def test_what_is_no_address_is_not_written_to(address: str) -> None:
    with pytest.raises(Refused):
        write("<mj-text>Hi</mj-text>", address=address)


def test_words_of_all_languages_arrive() -> None:
    words = "Grüße — 你好 — مرحبا — 😀 " * 5
    mail_ = write(f"<mj-text>{words}</mj-text>", subject=words.strip())
    assert mail_["Subject"] == words.strip()
    assert words.strip() in part(mail_, "html")
    assert words.strip() in part(mail_, "plain")


def test_a_text_of_its_own_is_taken() -> None:
    mail_ = write("<mj-text>Hi</mj-text>", text="Own {{ customer.n | default('text') }}")
    assert part(mail_, "plain").strip() == "Own text"


def test_the_text_is_what_can_be_read() -> None:
    html = compile_mjml(
        PAGE.format(
            "<mj-text><h1>News</h1><p>One &amp; two</p><ul><li>a</li><li>b</li></ul></mj-text>"
            '<mj-image src="https://shop.example/i.png" alt="A lamp"/>'
        ),
        preheader="Beside the subject",
    )
    headed = PAGE.replace("<mj-body>", "<mj-head></mj-head><mj-body>").format(
        "<mj-text>a</mj-text>"
    )
    assert "Beside" in compile_mjml(headed, preheader="Beside")
    assert to_text('<a href="#top">Top</a><a>No</a></a> https://x.example/') == (
        "TopNo https://x.example/\n"
    )
    assert to_text("<p style='display: none'>a<b>c</p></b></p>d<i>e") == "de\n"
    text = to_text(html)
    assert text.split() == ["News", "One", "&", "two", "-", "a", "-", "b", "A", "lamp"]
    assert "Beside the subject" in html


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (PAGE.format("<mj-txt>a</mj-txt>"), "<mj-txt> is not known"),
        (PAGE.format("<mj-text>a"), "cannot be read"),
        (PAGE.format('<mj-include path="/etc/passwd"/>'), "<mj-include> is not known"),
        (PAGE.format("<p>a</p>"), "only in a text"),
        (PAGE.format("words"), "outside of a text"),
        (PAGE.format("{% if 1 %}<mj-text>a</mj-text>{% endif %}"), "outside of a text"),
        (PAGE.format("<mj-raw><script>1</script></mj-raw>"), "no place in a mail"),
        (PAGE.format("<mj-text><img src='x' onerror='1'></mj-text>"), "no place in a mail"),
        (PAGE.format('<mj-button href="javascript:1">a</mj-button>'), "none of a page"),
        (PAGE.format("<mj-raw><iframe></iframe></mj-raw>"), "no place in a mail"),
        ("<p>a</p>", "only in a text"),
        ("", "It needs <mjml>"),
        ("<mjml></mjml>", "It needs <mjml>"),
    ],
)
def test_what_no_mail_program_shows_is_said(source: str, words: str) -> None:
    with pytest.raises(BadTemplate, match=words):
        CHANNEL.check(Draft("Hello", "", source))


def test_an_end_without_a_beginning_is_said() -> None:
    with pytest.raises(BadTemplate, match="cannot be read"):
        CHANNEL.check(Draft("Hello", "", PAGE.format("</mj-hero><mj-text>a</mj-text>")))


def test_a_mail_needs_a_subject() -> None:
    with pytest.raises(BadTemplate, match="subject"):
        CHANNEL.check(Draft(" ", "", PAGE.format("<mj-text>a</mj-text>")))


def test_no_font_is_fetched_from_anybody() -> None:
    assert "googleapis" not in compile_mjml(PAGE.format("<mj-text>a</mj-text>"))


def test_any_other_backend_gets_djangos_messages() -> None:
    draft = Draft("Hello", "", PAGE.format("<mj-text>Hi</mj-text>"))
    form = CHANNEL.prepare(Draft("Hello", "", draft.body, "", CHANNEL.check(draft)), SENDER)
    outgoing = form.write(Recipient(7, "ana@mail.example", {}, "https://lab.example/u/t"), now=NOW)
    with CHANNEL.open() as line:
        line.send(outgoing, now=NOW)
    (message,) = mail.outbox
    assert message.to == ["ana@mail.example"]
    assert message.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message.extra_headers["Message-ID"] == "<7.spring@shop.example>"


@pytest.mark.parametrize(
    ("backend", "error"),
    [("Failing", Unsure), ("Refusing", Refused), ("Busy", Refused), ("Picky", Refused)],
)
def test_what_a_service_says_is_understood(
    backend: str, error: type[Exception], settings: Any
) -> None:
    settings.EMAIL_BACKEND = f"tests.campaigns.channels.backends.{backend}"
    draft = Draft("Hello", "", PAGE.format("<mj-text>Hi</mj-text>"))
    form = CHANNEL.prepare(Draft("Hello", "", draft.body, "", CHANNEL.check(draft)), SENDER)
    outgoing = form.write(Recipient(7, "ana@mail.example", {}, "https://lab.example/u/t"), now=NOW)
    with CHANNEL.open() as line, pytest.raises(error) as raised:
        line.send(outgoing, now=NOW)
    if isinstance(raised.value, Refused):
        assert raised.value.permanent is (backend != "Busy")
