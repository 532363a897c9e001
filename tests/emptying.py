"""Empties the database after a test that committed, in a hundredth of a second."""

from django.apps import apps
from django.db import connection, transaction
from django.test import TransactionTestCase

# What every migration makes, and no test that commits may change.
KEPT = {"contenttypes.contenttype", "auth.permission", "auth.group", "auth.group_permissions"}


def delete_rows(case: TransactionTestCase) -> None:
    """Delete what a test left in the tables of all models, instead of truncating them.

    Django makes all content types, permissions and roles anew as well, after each such test.
    """
    # pytest-django makes no test database for a session in which it sees no need of one.
    assert str(connection.settings_dict["NAME"]).startswith("test_"), "not a test database"
    tables = [
        model._meta.db_table
        for model in apps.get_models(include_auto_created=True)
        if model._meta.label_lower not in KEPT
    ]
    # In one transaction, because foreign keys are looked at when it ends.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("; ".join(f'DELETE FROM "{table}"' for table in tables))


def empty_by_deleting() -> None:
    """Let every test that commits be cleared away so."""
    setattr(TransactionTestCase, "_fixture_teardown", delete_rows)  # noqa: B010 - not in its stubs
