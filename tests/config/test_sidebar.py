"""Who is led where by the sidebar."""

import re

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils.html import strip_tags

from config.roles import ROLES
from tests.makers import make_user

pytestmark = pytest.mark.django_db


def browse(role: str) -> Client:
    user = make_user(is_superuser=role == "Admin")
    if role in ROLES:
        user.groups.add(Group.objects.get(name=role))
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(User.objects.get(pk=user.pk))
    return client


@pytest.mark.parametrize("role", [*ROLES, "Admin"])
def test_nobody_is_led_where_they_may_not_go(role: str) -> None:
    client = browse(role)
    page = client.get("/admin/").content.decode()
    sidebar = page[page.index('id="nav-sidebar-apps"') : page.index('id="main"')]
    links = set(re.findall(r'href="(/[^"]+)"', sidebar))
    assert len(links) > 10
    assert {link for link in links if client.get(link).status_code >= 400} == set()
    assert ("Accounts" in strip_tags(sidebar)) is (role == "Admin")
