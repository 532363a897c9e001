"""Reads an analysis statement: what it needs, and how other engines would say it."""

from dataclasses import dataclass
from typing import Literal

import sqlglot
from sqlglot import exp

Dialect = Literal["duckdb", "spark"]

# Under another name, whatever fetches the columns would not know what is needed of them.
JSON_COLUMNS = ("properties", "attributes")
# Takes a text from a map by its key; null where there is none.
_LOOK_UP = {"duckdb": "MAP_EXTRACT_VALUE", "spark": "TRY_ELEMENT_AT"}


@dataclass(frozen=True, slots=True)
class Parsed:
    """A statement, taken apart."""

    _tree: exp.Expr

    @property
    def relations(self) -> frozenset[str]:
        """The stored relations that it reads."""
        own = {cte.alias for cte in self._tree.find_all(exp.CTE)}
        return frozenset(table.name for table in self._tree.find_all(exp.Table)) - own

    @property
    def experiments(self) -> frozenset[int]:
        """The experiments whose exposures it asks for, by `experiment_id = number`."""
        return frozenset(
            int(comparison.right.name)
            for comparison in self._tree.find_all(exp.EQ)
            if comparison.left.name == "experiment_id" and comparison.right.is_int
        )

    def keys(self, column: str) -> list[str]:
        """The keys of a JSON column that it looks up."""
        look_ups = self._tree.find_all(exp.JSONExtractScalar)
        return sorted({_key(look_up) for look_up in look_ups if look_up.this.name == column})

    def to_dialect(self, dialect: Dialect) -> str:
        """Write the statement for an engine whose JSON columns are maps of texts."""
        tree = self._tree.copy()
        for collated in list(tree.find_all(exp.Collate)):
            # Elsewhere texts are always in the order of their bytes, which this one asks for.
            if collated.expression.name == "C":
                collated.replace(collated.this)
        for look_up in list(tree.find_all(exp.JSONExtractScalar)):
            arguments = [look_up.this, exp.Literal.string(_key(look_up))]
            look_up.replace(exp.Anonymous(this=_LOOK_UP[dialect], expressions=arguments))
        if dialect == "spark":
            _say_exactly_in_spark(tree)
        return tree.sql(dialect)


def parse_statement(text: str) -> Parsed:
    """Take a statement apart.

    Raises:
        sqlglot.errors.ParseError: It is no statement of PostgreSQL.
    """
    return Parsed(sqlglot.parse_one(text, read="postgres"))


def _key(look_up: exp.JSONExtractScalar) -> str:
    """Return the key of `column ->> 'key'`.

    Raises:
        ValueError: It is something else, such as a path or a position.
    """
    steps = look_up.expression.expressions
    column = look_up.this
    if isinstance(column, exp.Column) and column.name in JSON_COLUMNS and len(steps) == 2:
        (_, key) = steps
        if isinstance(key, exp.JSONPathKey):
            return str(key.this)
    raise ValueError(
        f"Of JSON only a property or attribute is known, by `->> 'key'`, not {look_up.sql()}."
    )


def _say_exactly_in_spark(tree: exp.Expr) -> None:
    """Replace what sqlglot would turn into something that is nearly the same."""
    for percentile in list(tree.find_all(exp.WithinGroup)):
        if isinstance(percentile.this, exp.PercentileCont):
            (ordered,) = percentile.expression.expressions
            arguments = [ordered.this, percentile.this.this]
            percentile.replace(exp.Anonymous(this="PERCENTILE", expressions=arguments))
    for match in tree.find_all(exp.RegexpLike):
        pattern = match.expression.name
        # Java's `$` also stands before a line break at the end.
        if pattern.endswith("$") and not pattern.endswith("\\$"):
            match.set("expression", exp.Literal.string(pattern[:-1] + "\\z"))
