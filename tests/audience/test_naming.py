import pytest

from audience.models import Audience, AudienceKind
from audience.naming import free_key, has_letters, to_stem


@pytest.mark.django_db
def test_a_taken_key_gets_the_lowest_number_that_is_free() -> None:
    assert free_key("vip", Audience) == "vip"
    for key in ("vip", "vip-3", "vip-more"):
        Audience.objects.create(key=key, name=key, kind=AudienceKind.LIST)
    assert free_key("vip", Audience) == "vip-2"
    Audience.objects.create(key="vip-2", name="", kind=AudienceKind.LIST)
    assert free_key("vip", Audience) == "vip-4"
    assert free_key("vi", Audience) == "vi"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Winter sale!", "winter-sale"),
        ("Größe & Maß", "groe-ma"),
        ("夏のセール", "audience"),
        ("x" * 80, "x" * 54),
        ("y" * 53 + " z", "y" * 53),
    ],
)
def test_a_key_begins_with_what_it_can_hold_of_a_name(name: str, stem: str) -> None:
    assert to_stem(name, otherwise="audience") == stem


@pytest.mark.parametrize(("name", "says"), [("Ж", True), ("7", True), ("🎉 …", False), ("", False)])
def test_a_name_needs_a_letter_or_a_digit_of_any_alphabet(name: str, says: bool) -> None:
    assert has_letters(name) is says
