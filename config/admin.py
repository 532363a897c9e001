"""Accounts and roles in the admin, whose theme brings forms of its own for them."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from audience.careful_admin import CarefulAdmin

# Django registers its own, whose inputs the theme shows without an edge.
admin.site.unregister([User, Group])


@admin.register(User)
class AccountAdmin(UserAdmin, ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Accounts."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "email", "first_name", "last_name", "is_active", "is_staff"]
    # With a role at once, and a log-in that works: without, every page refuses a new account.
    add_fieldsets = (
        (None, {"fields": ("username", "usable_password", "password1", "password2")}),
        ("Permissions", {"fields": ("is_staff", "groups")}),
    )

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, bool]:  # type: ignore[override]
        """Let a new account log in, unless somebody says otherwise."""
        return {"is_staff": True}


@admin.register(Group)
class RoleAdmin(GroupAdmin, CarefulAdmin):  # type: ignore[misc]  # untyped options
    """Roles: groups of rights."""
