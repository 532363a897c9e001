"""A migration operation that makes a table partitioned by ranges of a column."""

from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


class CreatePartitionedModel(migrations.CreateModel):
    """Create a model's table with `PARTITION BY RANGE`; the primary key must hold the column."""

    def __init__(self, *args: Any, partition_by: str, **kwargs: Any) -> None:
        """Take what `CreateModel` takes, and the column."""
        super().__init__(*args, **kwargs)
        self.partition_by = partition_by

    def deconstruct(self) -> Any:
        """Say how to make this operation again."""
        name, args, kwargs = super().deconstruct()
        return name, args, {**kwargs, "partition_by": self.partition_by}

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: Any
    ) -> None:
        """Create the table; Django knows no partitions, so its template gets a tail."""
        template = schema_editor.sql_create_table
        column = schema_editor.quote_name(self.partition_by)
        schema_editor.sql_create_table = f"{template} PARTITION BY RANGE ({column})"
        try:
            super().database_forwards(app_label, schema_editor, *states)
        finally:
            schema_editor.sql_create_table = template
