"""Accounts and roles, made in the admin."""

import re

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"


def has_edge(page: str, field: str) -> bool:
    """Tell whether an input is the theme's own; Django's would be invisible in it."""
    return re.search(rf'<input[^>]*name="{field}"[^>]*class="[^"]*border', page) is not None


def test_a_new_account_has_a_role_and_can_log_in(admin: Client) -> None:
    address = reverse("admin:auth_user_add")
    page = admin.get(address).content.decode()
    assert has_edge(page, "username")
    typed = {
        "username": "mia",
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
        "is_staff": "on",
        "groups": [Group.objects.get(name="Marketer").pk],
    }
    admin.post(address, typed)
    mia = Client(headers={"x-forwarded-proto": "https"})
    assert mia.login(username="mia", password=PASSWORD)
    assert mia.get("/setup/").status_code == 200


@pytest.mark.parametrize(
    ("name", "field"),
    [("user_change", "username"), ("group_change", "name"), ("user_password_change", "password1")],
)
def test_accounts_and_roles_are_changed_by_forms_of_the_theme(
    admin: Client, name: str, field: str
) -> None:
    pk = Group.objects.get(name="Viewer").pk if name == "group_change" else User.objects.get().pk
    page = admin.get(reverse(f"admin:auth_{name}", args=[pk]))
    assert page.status_code == 200
    assert has_edge(page.content.decode(), field)
