"""By which texts a person can be found again, and the expression that finds them.

An e-mail address, a browser's id or a long key is searched for wherever it stands as a word of its
own. A short key, such as `42` or `ann`, is a word that means other things too: it is searched for
only where JSON says that it names a customer.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote, quote_plus

from django.db.models import Q

from audience.incoming import ANONYMOUS_PREFIX
from audience.models import Customer, Identity, IdentityKind

DISTINCT_LENGTH = 8
# Under which names senders and our own files name a customer.
NAMING = (
    "userId", "user_id", "anonymousId", "anonymous_id", "previousId", "customer", "customer_key",
    "customerKey", "customer_id", "external_key", "key", "email",
)  # fmt: skip
_ADDRESS = re.compile(r"[^@\s]{1,200}@[^@\s]{1,200}\Z")


@dataclass(frozen=True, slots=True)
class Person:
    """A customer with all the visitors who turned out to be this one.

    Attributes:
        ids: Of their rows, the customer's own first.
        keys: Their external keys, in the same order.
        names: Whatever else they are known by.
        addresses: Where e-mail reaches them.
    """

    ids: tuple[int, ...]
    keys: tuple[str, ...]
    names: tuple[str, ...]
    addresses: tuple[str, ...]

    def to_json(self) -> dict[str, Sequence[Any]]:
        """Return what `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Sequence[Any]]) -> "Person":
        """Return the person that was written by `to_json`."""
        return cls(**{name: tuple(values) for name, values in document.items()})

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text that names the person, once."""
        return tuple(dict.fromkeys((*self.keys, *self.names, *self.addresses)))

    @property
    def distinct_texts(self) -> tuple[str, ...]:
        """Those that mean nothing else, wherever they stand."""
        return tuple(text for text in self.texts if is_distinct(text))


def find_person(customer: Customer) -> Person:
    """Find all rows and names of a person, by any of the customers that this person is."""
    root = customer.merged_into_id or customer.pk
    rows = list(
        Customer.objects.filter(Q(pk=root) | Q(merged_into=root)).order_by(
            "merged_into_id", "external_key"
        )
    )
    rows.sort(key=lambda row: row.pk != root)
    identities = list(Identity.objects.filter(customer__in=[row.pk for row in rows]).order_by("pk"))
    addresses = [one.value for one in identities if one.kind == IdentityKind.EMAIL]
    # An address that was only sent as a trait reaches the person too.
    addresses += [
        value
        for row in rows
        for value in row.attributes.values()
        if isinstance(value, str) and _ADDRESS.match(value)
    ]
    names = [one.value for one in identities if one.kind != IdentityKind.EMAIL]
    names += [
        row.external_key.removeprefix(ANONYMOUS_PREFIX)
        for row in rows
        if row.external_key.startswith(ANONYMOUS_PREFIX)
    ]
    return Person(
        tuple(row.pk for row in rows),
        tuple(row.external_key for row in rows),
        tuple(dict.fromkeys(names)),
        tuple(dict.fromkeys(addresses)),
    )


def is_distinct(text: str) -> bool:
    """Say whether a text names somebody wherever it stands."""
    if _ADDRESS.match(text):
        return True
    has_digit = any(character.isdigit() for character in text)
    return len(text) >= DISTINCT_LENGTH and has_digit and not text.isdigit()


def spellings(text: str) -> tuple[str, ...]:
    """Return how a text is written in JSON, in addresses of pages and in PostgreSQL's bytes."""
    escaped = "".join(
        chr(byte) if 32 <= byte < 127 and byte != 92 else f"\\{byte:03o}" for byte in text.encode()
    )
    return tuple(
        dict.fromkeys(
            (
                text,
                json.dumps(text)[1:-1],
                json.dumps(text, ensure_ascii=False)[1:-1],
                quote(text, safe=""),
                quote(text),
                quote_plus(text),
                escaped,
            )
        )
    )


def pattern_of(texts: Sequence[str], *, is_loose: bool = False) -> str:
    """Write PostgreSQL's regular expression, to be matched without regard to capitals.

    What stands around a word is no part of the match. A letter before it may be the end of an
    escaped character: `%3D` in an address, `\\n` in JSON.

    Args:
        texts: What names the person.
        is_loose: Whether a word may also begin after a dot, a plus or a dash, as in
            `signup-ann@example.com`, which may be another's address.
    """
    distinct = alternatives(spelling for t in texts if is_distinct(t) for spelling in spellings(t))
    short = alternatives(
        spelling for t in texts if not is_distinct(t) for spelling in spellings(t)[:3]
    )
    parts = []
    if distinct:
        joints = "" if is_loose else "_@.+-"
        before = (
            rf"(?:(?<![[:alnum:]{joints}])|(?<=%[0-9A-Fa-f][0-9A-Fa-f])"
            r"|(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4}))"
        )
        parts.append(before + f"(?:{distinct})" + r"(?![[:alnum:]_@-]|\.[[:alnum:]])")
    if short:
        named = "|".join(NAMING)
        parts.append(rf'(?<="(?:{named})" ?: ?")(?:{short})(?=")')
    return "|".join(parts)


def alternatives(texts: Iterable[str]) -> str:
    """Write literal texts as alternatives of a regular expression, the longest first."""
    ordered = sorted(dict.fromkeys(texts), key=len, reverse=True)
    return "|".join(_literally(text) for text in ordered)


def _literally(text: str) -> str:
    return "".join(
        character if character.isalnum() or not character.isascii() else f"\\{character}"
        for character in text
    )
