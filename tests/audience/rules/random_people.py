"""People by chance in the database, and all that is known of them in memory."""

import json
import random
from collections.abc import Mapping

from django.db import connection

from audience.models import Audience, AudienceKind, Membership
from audience.rules import Happening, Person, Rule
from audience.rules.grammar import Listed
from tests.audience.rules.random_rules import attributes, happening
from tests.makers import event_row, make_customers, make_events, merge, unique

People = Mapping[int, Person]


def fill(rng: random.Random, *, customers: int) -> tuple[People, Mapping[str, Rule]]:
    """Make people, one in four with a second name, and two lists; return all that is known."""
    lists = [
        Audience.objects.create(key=unique("list"), name="List", kind=AudienceKind.LIST)
        for _ in range(2)
    ]
    made = make_customers(customers)
    names = {customer.pk: [customer] for customer in made}
    for visitor in make_customers(customers // 4):
        owner = rng.choice(made)
        merge(visitor, into=owner)
        names[owner.pk].append(visitor)
    for customer in made:
        customer.attributes = attributes(rng)
        with connection.cursor() as cursor:
            # As JSON in text: the driver's own way would refuse a number beyond floats.
            cursor.execute(
                "UPDATE audience_customer SET attributes = %s::jsonb WHERE id = %s",
                [json.dumps(customer.attributes), customer.pk],
            )
    people: dict[int, Person] = {}
    rows = []
    for owner in made:
        events: list[Happening] = []
        for name in names[owner.pk]:
            for _ in range(rng.choice([0, 1, 3, 6])):
                event = happening(rng)
                events.append(event)
                rows.append(
                    event_row(
                        name,
                        event.name,
                        at=event.occurred_at,
                        value=event.value,
                        properties=event.properties,
                    )
                )
        on = {each.pk for each in lists if rng.random() < 0.3}
        for audience_id in on:
            Membership.objects.create(audience_id=audience_id, customer=rng.choice(names[owner.pk]))
        stored = json.loads(json.dumps(owner.attributes))
        people[owner.pk] = Person(stored, events, on)
    make_events(rows)
    return people, {each.key: Listed(each.pk) for each in lists}
