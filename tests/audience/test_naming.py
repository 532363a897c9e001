import pytest

from audience.models import Audience, AudienceKind
from audience.naming import free_key


@pytest.mark.django_db
def test_a_taken_key_gets_the_lowest_number_that_is_free() -> None:
    assert free_key("vip", Audience) == "vip"
    for key in ("vip", "vip-3", "vip-more"):
        Audience.objects.create(key=key, name=key, kind=AudienceKind.LIST)
    assert free_key("vip", Audience) == "vip-2"
    Audience.objects.create(key="vip-2", name="", kind=AudienceKind.LIST)
    assert free_key("vip", Audience) == "vip-4"
    assert free_key("vi", Audience) == "vi"
