"""Analysis statements that together use everything that a statement may use."""

PEOPLE = """exposed AS (
    SELECT COALESCE(customer.merged_into_id, customer.id) AS person,
           CASE WHEN min(exposure.arm_id) = max(exposure.arm_id) THEN min(exposure.arm_id) END
               AS arm_id,
           min(exposure.exposed_at) AS exposed_at
    FROM experiments_exposure AS exposure
    JOIN audience_customer AS customer ON customer.id = exposure.customer_id
    WHERE exposure.experiment_id = EXPERIMENT
      AND exposure.exposed_at <= TIMESTAMPTZ '2026-03-20T12:00:00.000001+02:00'
    GROUP BY COALESCE(customer.merged_into_id, customer.id)
), happened AS (
    SELECT exposed.person, exposed.arm_id, exposed.exposed_at,
           event.name, event.occurred_at, event.value, event.properties
    FROM audience_event AS event
    JOIN audience_customer AS customer ON customer.id = event.customer_id
    JOIN exposed ON exposed.person = COALESCE(customer.merged_into_id, customer.id)
)"""
# A number as it is written in JSON.
NUMBER = r"^-?[0-9]{1,100}([.][0-9]{1,100})?([eE][-+]?[0-9]{1,2})?$"

STATEMENTS = {
    "people of each arm": f"WITH {PEOPLE} SELECT arm_id, count(*) FROM exposed GROUP BY arm_id",
    "times": f"""WITH {PEOPLE}
        SELECT arm_id, min(exposed_at), max(exposed_at) FROM exposed GROUP BY 1""",
    "every event": f"WITH {PEOPLE} SELECT person, name, occurred_at, value FROM happened",
    "nothing": f"""WITH {PEOPLE}
        SELECT sum(value), count(*), min(name) FROM happened WHERE name = 'x'""",
    "no rows": f"WITH {PEOPLE} SELECT * FROM exposed WHERE person < 0",
    "sums": f"""WITH {PEOPLE}, contributed AS (
        SELECT exposed.person, exposed.arm_id,
               CAST(COALESCE(sum(happened.value) FILTER (WHERE happened.name = 'Order Completed'
                   AND happened.occurred_at >= exposed.exposed_at
                   AND happened.occurred_at < exposed.exposed_at + INTERVAL '864000 seconds'), 0)
                   AS double precision) AS c0,
               CAST(count(*) FILTER (WHERE happened.name = 'Site Visited')
                   AS double precision) AS c1,
               CAST(LEAST(COALESCE(sum(CASE WHEN happened.name <> '' THEN abs(happened.value)
                   ELSE 0 END), 0), 178.57999999999998) AS double precision) AS c2,
               sum(CASE WHEN happened.value > 0 THEN 1 ELSE 0 END) AS whole
        FROM exposed LEFT JOIN happened ON happened.person = exposed.person
        GROUP BY exposed.person, exposed.arm_id
    ), centre AS (SELECT avg(c0) AS m0, avg(c1) AS m1, avg(c2) AS m2 FROM contributed)
    SELECT arm_id, count(*), sum(whole), max(c2), min(c0), avg(whole), max(m0),
           ARRAY[sum(c0 - m0), sum(c1 - m1), sum(c2 - m2)],
           ARRAY[sum((c0 - m0) * (c0 - m0)), sum((c1 - m1) * (c0 - m0)), sum((c2 - m2) * (c1 - m1))]
    FROM contributed CROSS JOIN centre GROUP BY arm_id""",
    "properties as texts": f"""WITH {PEOPLE} SELECT person, occurred_at, properties ->> 'price',
        properties ->> 'a.b', properties ->> 'it''s', properties ->> '$x y/z:1', properties ->> 'é',
        (properties ->> '0') IN ('red', 'a\\b', '12
'), properties ->> 'missing' FROM happened""",
    "properties as numbers": f"""WITH {PEOPLE} SELECT name, count(*),
        sum(CASE WHEN (properties ->> 'price') ~ '{NUMBER}'
            THEN CAST((properties ->> 'price') AS double precision) END),
        count(CASE WHEN COALESCE(CASE WHEN (properties ->> 'a.b') ~ '{NUMBER}'
            THEN CAST((properties ->> 'a.b') AS double precision) END >= 3.0, FALSE) THEN 1 END),
        count(*) FILTER (WHERE COALESCE((properties ->> 'it''s') <> 'it''s', TRUE))
        FROM happened GROUP BY name""",
    "segments": f"""WITH {PEOPLE}, other AS (
        SELECT COALESCE(customer.merged_into_id, customer.id) AS person,
               min(exposure.arm_id) AS arm_id
        FROM experiments_exposure AS exposure
        JOIN audience_customer AS customer ON customer.id = exposure.customer_id
        WHERE exposure.experiment_id = OTHER GROUP BY 1
    ), belongs AS (
        SELECT exposed.person, exposed.arm_id,
               COALESCE(who.attributes ->> 'price', '(none)') AS raw,
               COALESCE(CAST(other.arm_id AS varchar), '(none)') AS met
        FROM exposed JOIN audience_customer AS who ON who.id = exposed.person
        LEFT JOIN other ON other.person = exposed.person
    ), top AS (
        SELECT raw FROM belongs GROUP BY raw ORDER BY count(*) DESC, raw COLLATE "C" LIMIT 4
    ), placed AS (
        SELECT belongs.person, belongs.arm_id, COALESCE(top.raw, '(other)') AS d0, belongs.met AS d1
        FROM belongs LEFT JOIN top ON top.raw = belongs.raw
    )
    SELECT arm_id, GROUPING(d0), d0, GROUPING(d1), d1, count(*) FROM placed
    GROUP BY GROUPING SETS ((arm_id), (arm_id, d0), (arm_id, d1), ())""",
    "quantiles": f"""WITH {PEOPLE} SELECT
        percentile_cont(0.9) WITHIN GROUP (ORDER BY value),
        percentile_cont(0.25) WITHIN GROUP (ORDER BY value) FILTER (WHERE name = 'Site Visited'),
        percentile_cont(ARRAY[0.1, 0.5, 0.999]) WITHIN GROUP (ORDER BY value),
        percentile_cont(0.5) WITHIN GROUP (ORDER BY value) FILTER (WHERE name = 'nothing'),
        (SELECT percentile_cont(ARRAY[0.5]) WITHIN GROUP (ORDER BY x)
         FROM (SELECT sum(value) AS x FROM happened GROUP BY person) AS totals)
        FROM happened""",
    "last predictions": f"""WITH {PEOPLE}, predicted AS (
        SELECT person, value FROM (
            SELECT exposed.person, prediction.value, row_number() OVER (
                PARTITION BY exposed.person
                ORDER BY prediction.predicted_at DESC, prediction.id DESC) AS place
            FROM experiments_prediction AS prediction
            JOIN audience_customer AS customer ON customer.id = prediction.customer_id
            JOIN exposed ON exposed.person = COALESCE(customer.merged_into_id, customer.id)
            WHERE prediction.name = 'spend' AND prediction.predicted_at < exposed.exposed_at
        ) AS ranked WHERE place = 1
    ) SELECT exposed.arm_id, count(predicted.value), sum(COALESCE(predicted.value, 0))
    FROM exposed LEFT JOIN predicted USING (person) GROUP BY exposed.arm_id""",
    "steps in order": f"""WITH {PEOPLE}, step_0 AS (
        SELECT person, min(occurred_at) AS reached_at FROM happened
        WHERE name = 'Site Visited' AND occurred_at >= exposed_at - INTERVAL '86400 seconds'
        GROUP BY person
    ), step_1 AS (
        SELECT happened.person, min(happened.occurred_at) AS reached_at
        FROM happened JOIN step_0 ON step_0.person = happened.person
                                 AND happened.occurred_at >= step_0.reached_at
        WHERE name = 'Order Completed' GROUP BY happened.person
    )
    SELECT 'first' AS step, count(*), max(reached_at) FROM step_0
    UNION ALL SELECT 'second', count(*), max(reached_at) FROM step_1""",
    "unusual texts": f"""WITH {PEOPLE} SELECT count(*), 'it''s \\ é😀
', TRUE, NULL, 0.5, 7, -1 FROM happened WHERE name = 'Коли́чество ''ü'' \\ 😀
'""",
}
