import gzip
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.bodies import LIMIT_BYTES, LIMIT_DEPTH, decode, parse, plain_body, why_unstorable
from wire.messages import Problem, Request


class Question(msgspec.Struct):
    name: str
    context: dict[str, object] = {}


def a_request(body: bytes, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", "/", named, body)


def refusal(body: bytes, **headers: str) -> Problem:
    with pytest.raises(Problem) as caught:
        parse(a_request(body, **headers), Question)
    return caught.value


def nested(levels: int) -> bytes:
    """Write a question with lists inside each other, so many levels in all."""
    lists = levels - 2
    return b'{"name":"x","context":{"deep":' + b"[" * lists + b"]" * lists + b"}}"


@pytest.mark.parametrize("encoding", ["gzip", " GZIP ", "x-gzip"])
def test_a_gzip_body_is_unpacked(encoding: str) -> None:
    assert (
        plain_body(a_request(gzip.compress(b"abc", mtime=0), content_encoding=encoding)) == b"abc"
    )


@pytest.mark.parametrize(
    "headers", [{}, {"content_encoding": ""}, {"content_encoding": "identity"}]
)
def test_a_plain_body_is_left_alone(headers: dict[str, str]) -> None:
    assert plain_body(a_request(b"abc", **headers)) == b"abc"


def test_an_unknown_encoding_is_refused_by_name() -> None:
    problem = refusal(b"{}", content_encoding="br")
    assert (problem.status, "'br'" in problem.detail) == (415, True)


def test_a_gzip_bomb_is_refused_before_it_unfolds() -> None:
    assert refusal(gzip.compress(b" " * (8 << 20), mtime=0), content_encoding="gzip").status == 413


def test_a_gzip_body_may_unpack_to_exactly_the_limit() -> None:
    body = gzip.compress(b" " * LIMIT_BYTES, mtime=0)
    assert len(plain_body(a_request(body, content_encoding="gzip"))) == LIMIT_BYTES


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{}", "not valid gzip"),
        (gzip.compress(b"{}", mtime=0)[:-6], "ends too early"),
        (b"", "ends too early"),
        (gzip.compress(b"{}", mtime=0)[:-8] + b"\0" * 8, "not valid gzip"),
        (gzip.compress(b"{}", mtime=0) + b"more", "follows the end"),
    ],
)
def test_a_broken_gzip_body_is_refused(body: bytes, words: str) -> None:
    problem = refusal(body, content_encoding="gzip")
    assert (problem.status, words in problem.detail) == (400, True)


@pytest.mark.parametrize("type_", ["application/json", "text/plain", "image/png"])
def test_the_content_type_is_not_consulted(type_: str) -> None:
    assert parse(a_request(b'{"name":"x"}', content_type=type_), Question).name == "x"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"name":"x"} x',
        b'{"name":NaN}',
        b'{"name":"x","context":{"a":Infinity}}',
        b'{"name":"\xff"}',
        b'\xef\xbb\xbf{"name":"x"}',
        b'{"name":"a\0b"}',
        b"name=x",
    ],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    problem = refusal(body)
    assert (problem.status, "not valid JSON" in problem.detail) == (400, True)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{}", "name"),
        (b'{"name":1}', "Expected `str`"),
        (b"[]", "Expected `object`"),
        (b'{"name":"x","context":{"a":1e400}}', "out of range"),
        (b'{"name":"x","context":{"a":' + b"1" * 5000 + b"}}", "out of range"),
    ],
)
def test_a_wrong_field_is_refused_by_name(body: bytes, words: str) -> None:
    problem = refusal(body)
    assert (problem.status, words in problem.detail) == (422, True)


@pytest.mark.parametrize(
    "body", [b'{"name":"a\\u0000"}', b'{"name":"x","context":{"a":[{"b\\u0000":1}]}}']
)
def test_a_nul_character_is_refused(body: bytes) -> None:
    problem = refusal(body)
    assert (problem.status, "NUL" in problem.detail) == (400, True)


def test_the_letters_of_an_escaped_nul_are_welcome() -> None:
    assert parse(a_request(b'{"name":"a\\\\u0000"}'), Question).name == "a\\u0000"


def test_a_document_may_be_nested_up_to_the_limit() -> None:
    assert parse(a_request(nested(LIMIT_DEPTH)), Question).name == "x"


@pytest.mark.parametrize("levels", [LIMIT_DEPTH + 1, 900, 100_000])
def test_a_document_nested_deeper_is_refused(levels: int) -> None:
    problem = refusal(nested(levels))
    assert (problem.status, "nested" in problem.detail) == (400, True)


def test_a_wide_document_is_not_a_deep_one() -> None:
    wide = json.dumps({"name": "x", "context": {"a": [[]] * 1000}}).encode()
    assert parse(a_request(wide), Question).name == "x"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (rb"cut \ud83d", "cut \ufffd"),
        (rb"\ude00 half", "\ufffd half"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\\ud83d \ud83d", "\\ud83d \ufffd"),
        (rb"\uD83D\n", "\ufffd\n"),
    ],
)
def test_half_an_emoji_becomes_a_replacement_character(written: bytes, read: str) -> None:
    assert decode(b'{"name":"' + written + b'"}', Question).name == read


@given(st.text(alphabet=st.characters(codec=None, categories=None)))  # lone surrogates included
def test_any_string_that_javascript_can_hold_is_read_as_a_browser_would_encode_it(
    text: str,
) -> None:
    # UTF-16 with replacement is what TextEncoder does.
    expected = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert decode(json.dumps({"name": text}).encode(), Question).name == expected


def test_what_postgresql_can_hold_is_storable() -> None:
    assert why_unstorable({"a": [1, 2.5, None, True, {"b": "c"}]}) is None


@pytest.mark.parametrize("value", ["\0", ["\0"], {"\0": 1}, {"a": [{"b": "c\0"}]}])
def test_a_nul_character_is_found_wherever_it_is(value: object) -> None:
    assert "NUL" in (why_unstorable(value) or "")
