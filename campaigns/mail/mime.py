"""Writes a mail's bytes, without the cost of building a tree of them first (RFC 5322, 2045)."""

import binascii
from collections.abc import Mapping
from email.header import Header

BOUNDARY = b"=_offerlab_7f3a91c04be2"


def write_mail(headers: Mapping[str, str], *, text: str, html: str) -> bytes:
    """Return a mail of a text and an HTML part.

    Args:
        headers: Each on one line; what is not ASCII is encoded.
        text: For readers without pictures.
        html: For all others.
    """
    lines = [f"{name}: {encode_header(value)}" for name, value in headers.items()]
    head = "\r\n".join(lines).encode("ascii", "replace")
    return b"".join(
        [
            head,
            b'\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="',
            BOUNDARY,
            b'"\r\n\r\n--',
            BOUNDARY,
            b"\r\nContent-Type: text/plain; charset=utf-8\r\n",
            _encoded(text),
            b"\r\n--",
            BOUNDARY,
            b"\r\nContent-Type: text/html; charset=utf-8\r\n",
            _encoded(html),
            b"\r\n--",
            BOUNDARY,
            b"--\r\n",
        ]
    )


def encode_header(value: str) -> str:
    """Return a header's value on one line, in ASCII.

    Raises:
        ValueError: A line break is in it, which would begin another header.
    """
    if "\r" in value or "\n" in value or "\0" in value:
        raise ValueError("A header has one line.")
    if value.isascii():
        return value
    return Header(value, "utf-8", maxlinelen=75).encode(linesep="\r\n")


def _encoded(text: str) -> bytes:
    """Write a part as quoted-printable: seven bits, short lines, and readable to who looks."""
    plain = text.replace("\r\n", "\n").encode()
    encoded = binascii.b2a_qp(plain, istext=True)
    return b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + encoded.replace(b"\n", b"\r\n")
