"""What is written here is read by PostgreSQL as it was meant, and the other way round."""

import json
import math
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wire.pg_values import read_json, write_numbers, write_texts

storable = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
alike = st.sampled_from(["", "NULL", "null", "a,b", "{}", 'a"b', "\\", " a ", "ü", "0", "home-1"])


def ask(sql: str, written: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql}", [written])
        (found,) = cursor.fetchone()
    return list(found)


@pytest.mark.django_db
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.none() | alike | storable, max_size=8))
def test_texts_come_back(texts: list[str | None]) -> None:
    assert ask("%s::text[]", write_texts(texts)) == texts


@pytest.mark.django_db
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=8))
def test_numbers_come_back_to_the_last_bit(numbers: list[float | None]) -> None:
    assert ask("%s::double precision[]", write_numbers(numbers)) == numbers


@pytest.mark.parametrize("text", ['{"a": [1, 2.5, null, "ü"]}', "123456789012345678901", '"x"'])
def test_json_is_read_as_python_reads_it(text: str) -> None:
    assert read_json(text.encode()) == json.loads(text)


def test_a_number_beyond_floats_is_infinite() -> None:
    assert read_json(b'{"a": 1e400}') == {"a": math.inf}
