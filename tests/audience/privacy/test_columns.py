import pytest
from django.db import connection

from audience.privacy.identifiers import is_distinct, pattern_of


def matches(text: str, *names: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s ~* %s", [text, pattern_of(names)])
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text",
    [
        "ann@example.com",
        "Write to ANN@Example.com.",
        '{"email": "ann@example.com"}',
        "https://shop.example/?email=ann%40example.com&x=1",
        "https://shop.example/?to=%3Cann%40example.com%3E",
        '{"note": "hello\\nann@example.com"}',
        "mailto:ann@example.com",
    ],
)
def test_an_address_is_found_wherever_it_stands(text: str) -> None:
    assert matches(text, "ann@example.com")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text",
    ["joann@example.com", "ann@example.com.au", "jo.ann@example.com", "ann@examplexcom", "ann"],
)
def test_another_persons_address_is_not(text: str) -> None:
    assert not matches(text, "ann@example.com")


@pytest.mark.django_db
def test_a_key_that_means_other_things_is_found_only_where_it_names_somebody() -> None:
    assert not is_distinct("red")
    assert matches('{"userId": "red", "color": "blue"}', "red")
    assert matches('{"userId":"red"}', "red")
    assert not matches('{"userId": "joe", "color": "red"}', "red")


@pytest.mark.django_db
def test_keys_may_hold_any_character() -> None:
    key = "Zoë (a|b)* [1] \\ \"q\" 'x' 100%"
    assert is_distinct(key)
    assert matches(f"it was {key}", key)
    assert not matches("it was Zoe", key)
