"""Write down when experiments were decided, which every `Change` says of those before."""

from django.db import migrations, models

FILL = """
    UPDATE experiments_experiment AS experiment SET decided_at = COALESCE(
        (SELECT max(change.at) FROM experiments_change AS change
         WHERE change.experiment_id = experiment.id
           AND starts_with(change.action, CASE experiment.outcome
                                          WHEN 'shipped' THEN 'shipped '
                                          ELSE 'rolled back to ' END)),
        experiment.stopped_at)
    WHERE experiment.outcome <> '' AND experiment.decided_at IS NULL
"""


class Migration(migrations.Migration):
    dependencies = [("experiments", "0002_global_holdout")]

    operations = [
        migrations.AddField(
            model_name="experiment",
            name="decided_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
