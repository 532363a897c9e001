"""What is encrypted can be read with the key, and with nothing else."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.growthbook.encryption import Undecipherable, decrypt, encrypt

KEY = b64encode(bytes(range(16))).decode()
OTHER = b64encode(bytes(range(1, 17))).decode()


@given(st.text())
def test_a_text_comes_back(text: str) -> None:
    assert decrypt(encrypt(text, KEY), KEY) == text


def test_a_text_that_others_encrypted_is_read() -> None:
    # The case "Valid feature" of the specification.
    encrypted = (
        "m5ylFM6ndyOJA2OPadubkw==.Uu7ViqgKEt/dWvCyhI46q088PkAEJbnXKf3KPZjf9IEQQ+A8fojNoxw4wIbPX3aj"
    )
    text = '{"feature":{"defaultValue":true}}'
    assert decrypt(encrypted, "Zvwv/+uhpFDznZ6SX28Yjg==") == text


def test_the_same_text_is_encrypted_the_same_by_every_process() -> None:
    assert encrypt("a", KEY) == encrypt("a", KEY)


def test_another_text_or_key_begins_differently() -> None:
    beginnings = {
        encrypt(*pair).partition(".")[0] for pair in (("a", KEY), ("b", KEY), ("a", OTHER))
    }
    assert len(beginnings) == 3


@pytest.mark.parametrize(
    ("encrypted", "key"),
    [
        (encrypt("a text", KEY), OTHER),
        (encrypt("a text", KEY).replace(".", ""), KEY),
        (encrypt("a text", KEY), "not base64"),
        (encrypt("a text", KEY), b64encode(b"short").decode()),
        ("!.!", KEY),
        ("AAAA.AAAA", KEY),
    ],
)
def test_what_cannot_be_read_is_refused(encrypted: str, key: str) -> None:
    with pytest.raises(Undecipherable):
        decrypt(encrypted, key)


@pytest.mark.parametrize("key", ["%", b64encode(b"short").decode()])
def test_nothing_is_encrypted_without_a_key(key: str) -> None:
    with pytest.raises(ValueError, match="The key"):
        encrypt("a", key)
