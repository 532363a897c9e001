"""A stored event is read in one way, whatever connection it comes by."""

import psycopg
import pytest
from django.db import connection

from audience.intake.listening import TOLD_COLUMNS, to_told
from audience.models import Event
from tests.asgi import database_url
from tests.makers import NOW, make_customer, make_event

pytestmark = pytest.mark.django_db(transaction=True)
# PostgreSQL knows numbers beyond all floats.
HUGE = '{"order_id": "A17", "size": 1e400}'


def test_an_event_is_read_alike_by_django_and_by_the_intake() -> None:
    customer = make_customer()
    make_event(customer, "Order Completed", at=NOW, value=40.0)
    statement = f"SELECT {TOLD_COLUMNS} FROM audience_event AS event"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audience_event SET properties = %s", [HUGE])
        cursor.execute(statement)
        by_django = to_told(cursor.fetchone(), customer_key="ann")
    with psycopg.connect(database_url()) as other:
        by_intake = to_told(other.execute(statement).fetchone() or ())
    event = Event.objects.get()
    for told, key in ((by_django, "ann"), (by_intake, None)):
        assert (told.customer_id, told.source_id) == (customer.pk, event.source_id)
        assert told.received_at == event.received_at
        message = told.message
        assert (message.message_id, message.customer_key) == (event.message_id, key)
        assert (message.name, message.value) == ("Order Completed", 40.0)
        assert message.occurred_at == NOW
        assert message.properties == {"order_id": "A17", "size": 10**400}
