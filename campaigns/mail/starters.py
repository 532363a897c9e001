"""Designs in which a marketer writes text only, and the MJML that they make.

What was written is kept with the MJML, in a remark at its beginning, so that it can be written on.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

DESIGNS: Mapping[str, str] = {
    "letter": "A letter: text, then a button",
    "offer": "An offer: large headline on colour, button in the middle",
    "news": "News: picture, headline, text",
    "products": "Products: headline, text, the customer's own products, button",
}
REMARK = re.compile(r"\A<!-- offerlab (\{.*?\}) -->\n?", re.DOTALL)
PLACEHOLDER = re.compile(r"(\{\{.*?\}\}|\{%.*?%\})", re.DOTALL)
FONT = "Helvetica, Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class Plain:
    """A mail as somebody writes it who does not want to know of MJML."""

    design: str = "letter"
    headline: str = ""
    text: str = ""
    button: str = ""
    link: str = "{{ offer.link }}"
    image: str = ""
    footer: str = ""


def to_mjml(plain: Plain) -> str:
    """Write a mail's MJML, with a remark of what it was made of."""
    # Two dashes end a remark, and so they are written otherwise in it.
    remark = json.dumps(asdict(plain), ensure_ascii=False).replace("--", "\\u002d\\u002d")
    designs = {"letter": _letter, "offer": _offer, "news": _news, "products": _products}
    parts = designs[plain.design](plain)
    return (
        f"<!-- offerlab {remark} -->\n<mjml>\n<mj-head><mj-attributes>"
        f'<mj-all font-family="{FONT}"/><mj-text font-size="16px" line-height="24px"/>'
        "</mj-attributes></mj-head>\n"
        f'<mj-body background-color="#f4f5f8">\n{parts}\n{_footer(plain)}\n</mj-body>\n</mjml>\n'
    )


def read_plain(source: str) -> Plain | None:
    """Return what a mail was made of; None where somebody wrote its MJML."""
    found = REMARK.match(source)
    if found is None:
        return None
    try:
        plain = Plain(**json.loads(found[1]))
    except (TypeError, ValueError):
        return None
    # Who changed the MJML itself has it the own way from then on.
    return plain if plain.design in DESIGNS and to_mjml(plain) == source else None


def without_remark(source: str) -> str:
    """Return MJML as it is compiled."""
    return REMARK.sub("", source, count=1)


def _letter(plain: Plain) -> str:
    headline = (
        f'<mj-text font-size="22px" line-height="28px" font-weight="bold">{_text(plain.headline)}'
        "</mj-text>"
        if plain.headline
        else ""
    )
    return _section(f"{_image(plain)}{headline}{_paragraphs(plain.text)}{_button(plain, 'left')}")


def _offer(plain: Plain) -> str:
    headline = (
        '<mj-text align="center" color="#ffffff" font-size="32px" line-height="40px" '
        f'font-weight="bold">{_text(plain.headline)}</mj-text>'
    )
    return (
        _section(headline, background="#5b21b6", padding="40px 0")
        + "\n"
        + _section(
            f"{_image(plain)}{_paragraphs(plain.text, align='center')}{_button(plain, 'center')}"
        )
    )


def _news(plain: Plain) -> str:
    return _section(
        f"{_image(plain)}"
        '<mj-text font-size="26px" line-height="32px" font-weight="bold">'
        f"{_text(plain.headline)}</mj-text>"
        f"{_paragraphs(plain.text)}{_button(plain, 'left')}"
    )


def _products(plain: Plain) -> str:
    headline = (
        '<mj-text font-size="26px" line-height="32px" font-weight="bold">'
        f"{_text(plain.headline)}</mj-text>"
    )
    name = "<b>{{ product.name | default(product.key | default('')) }}</b>"
    linked = '<a href="{{ product.url | default(\'\') }}" style="color:#5b21b6">' + name + "</a>"
    price = (
        "{% if product.price %}<br/>{{ product.price | default('') | number(2) }} "
        "{{ product.currency | default('') }}{% endif %}"
    )
    picture = (
        '{% if product.image %}<img src="{{ product.image | default(\'\') }}" alt="" '
        'width="96" style="display:block"/>{% endif %}'
    )
    rows = (
        "{% for product in offer.products %}"
        f'<tr><td style="width:112px;padding:8px 0">{picture}</td>'
        f'<td style="padding:8px 0">{{% if product.url %}}{linked}{{% else %}}{name}{{% endif %}}'
        f"{price}</td></tr>{{% endfor %}}"
    )
    table = f'<mj-table font-size="16px" line-height="24px">{rows}</mj-table>'
    inner = f"{_image(plain)}{headline}{_paragraphs(plain.text)}{table}{_button(plain, 'left')}"
    return _section(inner)


def _section(inner: str, *, background: str = "#ffffff", padding: str = "20px 0") -> str:
    return (
        f'<mj-section background-color="{background}" padding="{padding}"><mj-column>'
        f"{inner}</mj-column></mj-section>"
    )


def _footer(plain: Plain) -> str:
    own = f"{_text(plain.footer)}<br/>" if plain.footer else ""
    return _section(
        '<mj-text align="center" color="#5b6577" font-size="12px" line-height="18px">'
        f'{own}<a href="{{{{ message.unsubscribe_url }}}}" style="color:#5b6577">'
        "Unsubscribe</a></mj-text>",
        background="#f4f5f8",
    )


def _paragraphs(text: str, *, align: str = "left") -> str:
    parts = [part.strip() for part in re.split(r"\n\s*\n", text.replace("\r\n", "\n"))]
    return "".join(
        f'<mj-text align="{align}">{_text(part).replace(chr(10), "<br/>")}</mj-text>'
        for part in parts
        if part
    )


def _button(plain: Plain, align: str) -> str:
    if not plain.button:
        return ""
    return (
        f'<mj-button align="{align}" background-color="#5b21b6" color="#ffffff" font-size="16px" '
        f'border-radius="6px" href="{_attribute(plain.link)}">{_text(plain.button)}</mj-button>'
    )


def _image(plain: Plain) -> str:
    return f'<mj-image src="{_attribute(plain.image)}" alt=""/>' if plain.image else ""


def _text(text: str) -> str:
    """Escape what is written, and leave its placeholders as they are."""
    return "".join(
        part if PLACEHOLDER.fullmatch(part) else _escaped(part) for part in PLACEHOLDER.split(text)
    )


def _attribute(text: str) -> str:
    # The quotes of a placeholder would end the attribute.
    return _text(text).replace('"', "'")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
