"""Has the database record every change of a table, with who made it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import connection
from django.db.migrations.operations import RunSQL

WHO = "offerlab.user"
FUNCTION = f"""
    CREATE FUNCTION audience_record_change() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        unwatched text[] := COALESCE(TG_ARGV, '{{}}');
        old_row jsonb; new_row jsonb; was jsonb; is_now jsonb;
    BEGIN
        IF TG_OP <> 'INSERT' THEN old_row := to_jsonb(OLD) - unwatched; END IF;
        IF TG_OP <> 'DELETE' THEN new_row := to_jsonb(NEW) - unwatched; END IF;
        was := old_row; is_now := new_row;
        IF TG_OP = 'UPDATE' THEN
            SELECT jsonb_object_agg(key, value) INTO was FROM jsonb_each(old_row)
                WHERE new_row -> key IS DISTINCT FROM value;
            SELECT jsonb_object_agg(key, value) INTO is_now FROM jsonb_each(new_row)
                WHERE old_row -> key IS DISTINCT FROM value;
            IF was IS NULL THEN RETURN NULL; END IF;
        END IF;
        INSERT INTO audience_auditentry ("table", row_id, by, before, after)
        VALUES (TG_TABLE_NAME, COALESCE(new_row, old_row) ->> 'id',
                COALESCE(current_setting('{WHO}', true), ''), was, is_now);
        RETURN NULL;
    END $$
"""
DROP_FUNCTION = "DROP FUNCTION audience_record_change()"


def record_changes_of(table: str, *, besides: Sequence[str] = ()) -> RunSQL:
    """Return the migration's operation that has changes of a table recorded.

    Args:
        table: Its name.
        besides: Columns that are no news, or a secret.
    """
    arguments = ", ".join(f"'{column}'" for column in besides)
    return RunSQL(
        f"CREATE TRIGGER record_change AFTER INSERT OR UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION audience_record_change({arguments})",
        f"DROP TRIGGER record_change ON {table}",
    )


@contextmanager
def changing_as(username: str) -> Iterator[None]:
    """Have changes of this thread's connection recorded under a name."""
    _set_name(username)
    try:
        yield
    finally:
        if connection.is_usable():
            _set_name("")


def _set_name(username: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, false)", [WHO, username[:150]])
