"""Writes the files of the lake anew without a person."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from django.db import connection, transaction

from audience.keeping.lake import CLAIM, open_duckdb, quoted, write_again
from audience.models import LakeRange
from audience.privacy.identifiers import alternatives, spellings

HOLDS = """
    SELECT id FROM audience_lakerange AS range WHERE EXISTS (
        SELECT FROM audience_event
        WHERE received_at >= range.received_from AND received_at < range.received_until
          AND customer_id = ANY(%s))
    ORDER BY id
"""


@contextmanager
def held_lake() -> Iterator[None]:
    """Keep everybody else from writing files meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [CLAIM])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [CLAIM])


def write_without(directory: Path, customer_ids: Sequence[int], texts: Sequence[str]) -> list[str]:
    """Write every file anew that holds events of these customers, or names them in another's.

    It has to be called while the events are still there, and those that name them are cleaned.

    Returns:
        The paths of the files that were replaced.
    """
    with connection.cursor() as cursor:
        cursor.execute(HOLDS, [list(customer_ids)])
        ids = {id_ for (id_,) in cursor.fetchall()}
    ranges = list(LakeRange.objects.order_by("received_from"))
    naming = _count(directory, [one.path for one in ranges], customer_ids, texts)
    replaced = [one for one in ranges if one.pk in ids or naming.get(one.path)]
    for one in replaced:
        with transaction.atomic():
            write_again(directory, one, without=customer_ids)
    return [one.path for one in replaced]


def remove_files(directory: Path, paths: Sequence[str]) -> None:
    """Remove replaced files at once, whoever may be about to read them."""
    for path in paths:
        (directory / path).unlink(missing_ok=True)


def count_left(directory: Path, customer_ids: Sequence[int], texts: Sequence[str]) -> int:
    """Count what every file on the disk still holds of a person, whether a row names it or not."""
    files = sorted(directory.glob("received_on=*/*.parquet"))
    paths = [str(file.relative_to(directory)) for file in files]
    return sum(_count(directory, paths, customer_ids, texts).values())


def _count(
    directory: Path, paths: Sequence[str], customer_ids: Sequence[int], texts: Sequence[str]
) -> Mapping[str, int]:
    """Count, by file, the events that are a person's or that name the person."""
    present = [path for path in paths if (directory / path).exists()]
    if not present:
        return {}
    files = ", ".join(quoted(directory / path) for path in present)
    ids = ", ".join(str(int(id_)) for id_ in customer_ids)
    where = f"customer_id IN ({ids})"
    if texts:
        # Where Google's RE2 looks, which cannot look behind, what stands around is matched too.
        names = alternatives(spelling for text in texts for spelling in spellings(text.lower()))
        pattern = quoted(
            rf"(?i)(?:^|[^a-z0-9_@.+-]|%[0-9a-f]{{2}}|\\[nrtbf])(?:{names})"
            r"(?:$|[^a-z0-9_@.-]|\.(?:$|[^a-z0-9]))".replace("\\.", r"\.")
        )
        where += f" OR regexp_matches(CAST(properties AS VARCHAR), {pattern})"
        where += f" OR regexp_matches(name, {pattern})"
    with open_duckdb(directory) as duck:
        rows = duck.execute(
            f"SELECT filename, count(*) FROM read_parquet([{files}], hive_partitioning = false,"
            f" filename = true) WHERE {where} GROUP BY filename"
        ).fetchall()
    return {str(Path(name).relative_to(directory)): int(count) for name, count in rows}
