"""Write into past decisions what their offers cost then.

Every change of an offer was recorded with what was before (ADR 17).
"""

from django.db import migrations

FILL = """
    WITH price AS (
        SELECT key, cost_cents, until,
               lag(until, 1, '-infinity'::timestamptz)
                   OVER (PARTITION BY key ORDER BY until, id) AS since
        FROM (
            SELECT offer.key, entry.id, (entry.before ->> 'cost_cents')::integer AS cost_cents,
                   entry.at AS until
            FROM audience_auditentry AS entry
            JOIN campaigns_offer AS offer ON offer.id::text = entry.row_id
            WHERE entry.table = 'campaigns_offer'
              AND entry.before ? 'cost_cents' AND entry.after ? 'cost_cents'
            UNION ALL SELECT key, NULL, cost_cents, 'infinity' FROM campaigns_offer) AS change
    )
    UPDATE recommender_decision AS decision SET cost_cents = price.cost_cents
    FROM price
    WHERE price.key = decision.offer AND price.cost_cents > 0
      AND decision.decided_at >= price.since AND decision.decided_at < price.until
"""


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0010_audiences_are_assigned"),
        ("recommender", "0011_rewards_of_what_is_left"),
    ]

    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
