"""Links of mails that tell us when they are followed, and lead nowhere that we did not write."""

import base64
import hashlib
import hmac
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

HEAD = struct.Struct(">QH")
MAC_BYTES = 12
# A loop over an offer's products, and a link to one of them.
PRODUCT_LOOP = re.compile(r"{%-?\s*for\s+(\w+)\s+in\s+offer\.products\s*-?%}")
PRODUCT_LINK = re.compile(r"\A{{-?\s*(\w+)\.url\b[^{}]*}}\Z")
HREF = re.compile(r'(<a\b[^>]*?\bhref=")([^"]*)(")', re.IGNORECASE)
# A link that is followed has this number in its token; the picture of an opened mail has the last.
OPENED = 0xFFFF
# A link that nobody sees: only a machine follows it.
TRAP = 0xFFFE
# The link of an offer's first product; those of the others follow.
PRODUCTS = 0x8000
MOST_LINKS = 200
MOST_CHARACTERS = 2_000
# Where to decline is never followed through us: it has to work whatever becomes of us.
KEPT = ("mailto:", "tel:", "#", "cid:", "{{ message.unsubscribe_url", "{{message.unsubscribe_url")


@dataclass(frozen=True, slots=True)
class Followed:
    """What a token says: of which delivery, which link, and where it leads."""

    delivery_id: int
    number: int
    target: str


def split_links(html: str) -> tuple[str, Sequence[str]]:
    """Put `links.n0`, `links.n1`, … in the place of a mail's links; return also what they were."""
    targets: list[str] = []
    # What a loop goes over has no address before it is written: products bring their own.
    loops = {f"{{{{ {name}.url" for name in PRODUCT_LOOP.findall(html)}

    def replace(match: re.Match[str]) -> str:
        target = unescape(match[2]).strip()
        if not target or target.lower().startswith(KEPT) or len(targets) >= MOST_LINKS:
            return match[0]
        if PRODUCT_LINK.sub(r"{{ \1.url", target, count=1) in loops:
            return match[0]
        targets.append(target)
        return f"{match[1]}{{{{ links.n{len(targets) - 1} }}}}{match[3]}"

    return HREF.sub(replace, html), targets


def sign_link(key: bytes, followed: Followed) -> str:
    """Write a token."""
    content = HEAD.pack(followed.delivery_id, followed.number) + followed.target.encode()
    mac = hmac.digest(key, content, hashlib.sha256)[:MAC_BYTES]
    return base64.urlsafe_b64encode(mac + content).rstrip(b"=").decode()


def read_link(key: bytes, token: str) -> Followed | None:
    """Read a token; None where we did not write it."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        mac, content = raw[:MAC_BYTES], raw[MAC_BYTES:]
        delivery_id, number = HEAD.unpack_from(content)
        target = content[HEAD.size :].decode()
    except (ValueError, struct.error):
        return None
    if not hmac.compare_digest(hmac.digest(key, content, hashlib.sha256)[:MAC_BYTES], mac):
        return None
    return Followed(delivery_id, number, target)


def make_link_key(secret: str) -> bytes:
    """Derive the key of links from the site's secret."""
    return hmac.digest(secret.encode(), b"offerlab links of mails", hashlib.sha256)


def make_links(
    key: bytes, site_url: str, delivery_id: int, targets: Sequence[Callable[[], str]]
) -> Mapping[str, str]:
    """Return the addresses of a mail's links for one delivery, and of what tells that it is opened.

    A target that is no address of a page leads nowhere.
    """
    links = {
        "open": f"{site_url}/o/{sign_link(key, Followed(delivery_id, OPENED, ''))}.gif",
        "trap": f"{site_url}/c/{sign_link(key, Followed(delivery_id, TRAP, site_url))}",
    }
    for number, make in enumerate(targets):
        target = make()
        if is_page(target):
            token = sign_link(key, Followed(delivery_id, number, target))
            links[f"n{number}"] = f"{site_url}/c/{token}"
        else:
            links[f"n{number}"] = "#"
    return links


def make_product_links(
    key: bytes, site_url: str, delivery_id: int, products: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return an offer's products with addresses that tell when they are followed.

    One whose address is none of a page has none.
    """
    linked: list[dict[str, Any]] = []
    for place, product in enumerate(products[:MOST_LINKS]):
        target = product.get("url", "")
        plain = {name: value for name, value in product.items() if name != "url"}
        if is_page(target):
            token = sign_link(key, Followed(delivery_id, PRODUCTS + place, target))
            plain["url"] = f"{site_url}/c/{token}"
        linked.append(plain)
    return linked


def place_of(number: int) -> int | None:
    """Return which of an offer's products a link leads to; None for any other link."""
    return number - PRODUCTS if PRODUCTS <= number < PRODUCTS + MOST_LINKS else None


def is_page(target: str) -> bool:
    """Tell whether an address is one of a page, and harmless in a header."""
    return (
        target.lower().startswith(("https://", "http://"))
        and len(target) <= MOST_CHARACTERS
        and target.isprintable()
        and " " not in target
        and "\\" not in target
    )
