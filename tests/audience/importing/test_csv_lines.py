import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from audience.importing.csv_lines import Refused, find_numeric_columns, is_plain_number, read_lines
from audience.incoming import Rejected

Write = Callable[..., Path]
Lines = list[tuple[int, dict[str, str]]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: str | bytes, name: str = "some.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def read(path: Path, *needed: str) -> tuple[Lines, Refused]:
    refused = Refused()
    lines = list(read_lines(path, needed=needed, refused=refused, progress=lambda size: None))
    return lines, refused


ANN = [(2, {"customer": "ann", "city": "Rome"})]


@pytest.mark.parametrize(
    "content",
    [
        "customer,city\nann,Rome\n",
        "customer,city\nann,Rome",
        "customer;city\nann;Rome\n",
        "customer\tcity\nann\tRome\n",
        "customer,city\r\nann,Rome\r\n",
        "customer , city\nann,Rome\n",
        '"customer","city"\n"ann","Rome"\n',
        "\ufeffcustomer,city\nann,Rome\n",
        '\ufeff"customer";"city"\r\n"ann";"Rome"\r\n',
        "customer,city\nann,Rome\n\n\n",
        gzip.compress(b"customer,city\nann,Rome\n", mtime=0),
        gzip.compress("\ufeffcustomer;city\r\nann;Rome\r\n".encode(), mtime=0),
        gzip.compress(b"customer,city\n", mtime=0) + gzip.compress(b"ann,Rome\n", mtime=0),
        "customer,city,\nann,Rome,\n",
    ],
)
@pytest.mark.parametrize("name", ["some.csv", "some.csv.gz"])
def test_a_file_is_read_however_it_was_exported(
    write: Write, content: str | bytes, name: str
) -> None:
    lines, refused = read(write(content, name), "customer")
    assert (lines, refused.count) == (ANN, 0)


def test_a_quoted_value_may_hold_anything(write: Write) -> None:
    lines, _ = read(write('customer,note\nann,"a,b;\n""c"""\nbob,\n'))
    assert lines == [
        (3, {"customer": "ann", "note": 'a,b;\n"c"'}),
        (4, {"customer": "bob", "note": ""}),
    ]


def test_a_line_of_the_wrong_length_is_reported_and_the_rest_is_read(write: Write) -> None:
    lines, refused = read(write("customer,city\nann\nann,Rome\na,b,c\n"))
    assert lines == [(3, {"customer": "ann", "city": "Rome"})]
    assert refused.examples == [
        "line 2: 1 columns instead of 2.",
        "line 4: 3 columns instead of 2.",
    ]


def test_a_line_with_broken_quotes_is_reported_and_the_rest_is_read(write: Write) -> None:
    lines, refused = read(write('customer,city\n"x"y,z\nann,Rome\n'))
    assert lines == [(3, {"customer": "ann", "city": "Rome"})]
    assert refused.examples == ["line 2: ',' expected after '\"'."]


def test_a_quote_that_is_never_closed_is_reported(write: Write) -> None:
    lines, refused = read(write('customer,city\nann,Rome\nbob,"Par\nis\n'))
    assert lines == ANN
    assert refused.examples == ["line 4: unexpected end of data."]


def test_a_quote_that_swallows_a_long_file_lets_go_of_it(write: Write) -> None:
    rows = "".join(f"c{n},Rome\n" for n in range(30_000))
    lines, refused = read(write(f'customer,city\nann,Rome\nbob,"Paris\n{rows}'))
    assert len(lines) > 10_000
    assert "field larger than field limit" in refused.examples[0]


def test_only_the_first_refusals_are_shown_and_all_are_counted(write: Write) -> None:
    _, refused = read(write("customer,city\n" + "x\n" * 50))
    assert (refused.count, len(refused.examples)) == (50, 20)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no column 'customer'; it has: none."),
        ("\n", "no column 'customer'; it has: none."),
        ("city,age\nRome,5\n", "no column 'customer'; it has: city, age."),
        ("customer,a,a\n1,2,3\n", "two columns 'a'"),
        ("customer,a\0\n1,2\n", "NUL"),
        ('customer,"a', "no list of columns"),
        (b"customer\nZo\xeb\n", "not UTF-8 text: it holds the byte 0xeb"),
        ("customer\nann\n".encode("utf-16"), "not UTF-8"),
        (gzip.compress(b"customer\nann\n", mtime=0)[:-4], "gzip stream is broken"),
        (gzip.compress(b"customer\nann\n", mtime=0)[:12], "gzip stream is broken"),
        (b"\x1f\x8b\x00" + b"x" * 50, "gzip stream is broken"),
        (gzip.compress(b"x" * 999, mtime=0)[:10] + b"\xff" * 50, "gzip stream is broken"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    write: Write, content: str | bytes, words: str
) -> None:
    with pytest.raises(Rejected) as caught:
        read(write(content), "customer")
    assert words in str(caught.value)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_progress_adds_up_to_the_size_of_the_file(
    write: Write, pack: Callable[[bytes], bytes]
) -> None:
    path = write(pack(b"customer,n\n" + b"".join(b"c,%d\n" % n for n in range(20_000))))
    steps: list[int] = []
    for _ in read_lines(path, needed=(), refused=Refused(), progress=steps.append):
        pass
    assert sum(steps) == path.stat().st_size
    assert len(steps) > 1


@pytest.mark.parametrize("text", ["0", "-1", "12.50", " 7 ", ".5", "0.05", "1.5e-05", "1e+16"])
def test_a_plain_number_is_a_number(text: str) -> None:
    assert is_plain_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "007",
        "-01",
        "00",
        "+491701234567",
        "1_000",
        "12E4",
        "1e5",
        "e+5",
        "1,5",
        "-",
        ".",
        "",
        "x",
        "1234567890123456",
        "nan",
        "inf",
        "1e+999",
        "٣",
        "1.2.3",
        "0x10",
    ],
)
def test_a_code_that_looks_like_a_number_is_none(text: str) -> None:
    assert not is_plain_number(text)


def test_a_column_is_numeric_when_all_its_values_are(write: Write) -> None:
    path = write("n,code,mixed,empty,some\n1,007,1,,\n-2.5,12,x,,3\n")
    assert find_numeric_columns(path) == {"n", "some"}
