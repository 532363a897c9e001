"""Who is led where by the sidebar."""

import re

import pytest
from django.utils.html import strip_tags

from config.roles import ROLES
from tests.config.test_roles import log_in

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("role", [*ROLES, "Admin"])
def test_nobody_is_led_where_they_may_not_go(role: str) -> None:
    client = log_in(role)
    page = client.get("/admin/").content.decode()
    sidebar = page[page.index('id="nav-sidebar-apps"') : page.index('id="main"')]
    links = set(re.findall(r'href="(/[^"]+)"', sidebar))
    assert len(links) > 10
    assert {link for link in links if client.get(link).status_code >= 400} == set()
    assert ("Accounts" in strip_tags(sidebar)) is (role == "Admin")
