"""Sends a signed message to somebody else's address, per Standard Webhooks, and never inwards.

https://www.standardwebhooks.com: the id, the time and the body are signed together, so that a
receiver can tell who sent it, that it is fresh, and whether it came before.
"""

import base64
import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

PATIENCE_SECONDS = 10.0
MOST_ANSWER_BYTES = 65_536
PREFIX = "whsec_"


class Forbidden(Exception):
    """The address is no place to send to, and why."""


class Failed(Exception):
    """The message was not taken, and why; `is_gone` where it never will be.

    `status` is what was answered, where anything was.
    """

    def __init__(self, message: str, *, is_gone: bool = False, status: int | None = None) -> None:
        super().__init__(message)
        self.is_gone = is_gone
        self.status = status


def sign(secret: str, message_id: str, at: datetime, body: bytes) -> Mapping[str, str]:
    """Return the headers that vouch for a message.

    Args:
        secret: The receiver's, `whsec_` and base64.
        message_id: Of the message; a retry has the same.
        at: When it is sent.
        body: Exactly what is sent.
    """
    key = base64.b64decode(secret.removeprefix(PREFIX))
    timestamp = str(int(at.timestamp()))
    content = b".".join([message_id.encode(), timestamp.encode(), body])
    signature = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }


def post(
    url: str, body: bytes, headers: Mapping[str, str], *, may_be_private: bool = False
) -> None:
    """Send a message and see that it was taken (2xx). No redirect is followed.

    The name is looked up once and the connection made to what was checked, so that it cannot
    point elsewhere a moment later.

    Args:
        url: Where to; `https`, or also `http` where private addresses are allowed.
        body: What.
        headers: The signature.
        may_be_private: Whether addresses of our own network may be sent to.

    Raises:
        Forbidden: The address is not one of the public internet.
        Failed: It was not taken.
    """
    host, port, target, is_encrypted = read_url(url, may_be_private=may_be_private)
    address = resolve(host, port, may_be_private=may_be_private)
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_SECONDS)
    try:
        plain = socket.create_connection((address, port), timeout=PATIENCE_SECONDS)
        connection.sock = plain
        if is_encrypted:
            context = ssl.create_default_context()
            connection.sock = context.wrap_socket(plain, server_hostname=host)
        connection.request(
            "POST",
            target,
            body,
            {**headers, "content-type": "application/json", "user-agent": "OfferLab"},
        )
        response = connection.getresponse()
        response.read(MOST_ANSWER_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{type(error).__name__}: {error}"[:300]) from error
    finally:
        connection.close()
    if not 200 <= response.status < 300:
        raise Failed(
            f"It answered {response.status}.",
            is_gone=response.status == 410,
            status=response.status,
        )


def resolve(host: str, port: int, *, may_be_private: bool = False) -> str:
    """Look a name up and return an address that may be sent to.

    All addresses of a name have to be public: whoever has one inside is not to be trusted with the
    choice.

    Raises:
        Forbidden: One of them is not public.
        Failed: There is none.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Failed(f"The name {host} cannot be looked up: {error}"[:300]) from error
    addresses = [str(entry[4][0]) for entry in found]
    if not may_be_private:
        for address in addresses:
            if not is_public(address):
                raise Forbidden(f"{host} is at {address}, which is not on the public internet.")
    return addresses[0]


def is_public(address: str) -> bool:
    """Say whether an address is one of the public internet, also inside a transition address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def read_url(url: str, *, may_be_private: bool) -> tuple[str, int, str, bool]:
    """Take a URL apart: host, port, target, and whether it is encrypted.

    Raises:
        Forbidden: It is of another scheme, has a log-in in it, or no host.
    """
    if any(ord(character) <= 32 or ord(character) == 127 for character in url):
        raise Forbidden("The address has a blank or a control character in it.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Forbidden(f"The address cannot be read: {error}.") from error
    if parts.scheme not in (("https", "http") if may_be_private else ("https",)):
        raise Forbidden("The address has to begin with https://.")
    if parts.username is not None or parts.password is not None or not parts.hostname:
        raise Forbidden("The address needs a host, and no log-in.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    is_encrypted = parts.scheme == "https"
    return parts.hostname, port or (443 if is_encrypted else 80), target, is_encrypted
