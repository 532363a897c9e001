"""Addresses force variations, choose pages and lead elsewhere; as the JavaScript SDK 1.8.0 has it.

What is expected of patterns and queries is what that SDK answered.
"""

import pytest

from experiments.growthbook.addresses import add_query, find_override, is_targeted


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", None),
        ("https://shop.example/?a=1&price=1#price=0", 1),
        ("https://shop.example/?price=2", None),
        ("https://shop.example/?price=one", None),
        ("https://shop.example/?price=1&price=0", 1),
        ("https://shop.example/?prices=1", None),
        ("https://shop.example/?price=" + "9" * 5000, None),
    ],
)
def test_a_variation_is_forced_by_the_experiment_s_key(url: str, expected: int | None) -> None:
    assert find_override("price", url, 2) == expected


@pytest.mark.parametrize(
    ("url", "pattern", "expected"),
    [
        ("https://shop.example/a/b?x=1#top", "shop.example/a/*", True),
        ("https://shop.example:443/a", "https://shop.example/a/", True),
        ("https://shop.example:8080/a", "shop.example/a", False),
        ("https://SHOP.example/A", "shop.example/a", True),
        ("/cart", "/cart", True),
        ("https://u.example/cart?x=2", "/cart?x=1", False),
        ("https://u.example/cart", "/cart?x=1", False),
        ("https://u.example/cart?x=1&y=2", "/cart?x=*", True),
        ("https://u.example/cart#a", "/cart#b", False),
        ("https://u.example/cart#a", "/cart#a", True),
        ("https://u.example:port/cart", "/cart", False),
    ],
)
def test_a_simple_pattern_compares_part_by_part(url: str, pattern: str, expected: bool) -> None:
    target = {"type": "simple", "pattern": pattern}
    assert is_targeted(url, [target]) == expected


@pytest.mark.parametrize(
    ("kind", "pattern", "expected"),
    [
        ("regex", "^/cart/[0-9]+$", True),
        ("regex", "example/cart", True),
        ("regex", "^/home", False),
        ("glob", "/cart/1", False),
        ("simple", None, False),
    ],
)
def test_a_regular_expression_looks_at_the_address_and_at_its_path(
    kind: str, pattern: object, expected: bool
) -> None:
    target = {"type": kind, "pattern": pattern, "include": True}
    assert is_targeted("https://shop.example/cart/1", [target]) == expected


CART = {"type": "simple", "pattern": "/cart", "include": True}
NOT_CART = {**CART, "include": False}


def test_a_page_that_is_excluded_is_no_experiment_s() -> None:
    assert not is_targeted("https://shop.example/cart", [CART, NOT_CART])


def test_exclusions_alone_leave_all_other_pages() -> None:
    assert is_targeted("https://shop.example/home", [NOT_CART])
    assert not is_targeted("https://shop.example/home", [CART, NOT_CART])


def test_no_target_at_all_is_no_page() -> None:
    assert not is_targeted("https://shop.example/home", [])


def test_parameters_come_along_unless_the_target_has_them() -> None:
    merged = add_query("https://a.example/?x=1&y=&z=a%20b", "https://c.example/p?x=2#f")
    assert merged == "https://c.example/p?x=2&y=&z=a+b#f"
