"""An exposure is stored once, whoever comes first and however often it comes."""

import asyncio
from datetime import datetime

import pytest
from django.conf import settings
from django.db import connection, transaction
from psycopg import AsyncConnection

from audience.models import Customer
from experiments.assigning.exposures import Met, record_exposures
from experiments.models import Arm, Experiment, Exposure
from tests.makers import HOUR, NOW, expose, make_customer, make_customers, make_experiment
from tests.racing import other_sessions, wait_for_blocked

pytestmark = pytest.mark.django_db(transaction=True)


async def connect() -> AsyncConnection:
    url = settings.DATABASE_URL
    return await AsyncConnection.connect(url, dbname=connection.settings_dict["NAME"])


async def record(met: list[Met]) -> None:
    async with await connect() as session:
        await record_exposures(session, met)


def meet(customer_id: int, *, arm: Arm, at: datetime = NOW) -> Met:
    return Met(arm.experiment_id, customer_id, arm.pk, at)


def test_the_first_exposure_stays() -> None:
    experiment, customer = make_experiment(), make_customer()
    control, new = experiment.arms.all()
    asyncio.run(record([meet(customer.pk, arm=control)]))
    asyncio.run(record([meet(customer.pk, arm=new, at=NOW + HOUR)]))
    exposure = Exposure.objects.get(customer=customer)
    assert (exposure.arm, exposure.exposed_at) == (control, NOW)


def test_many_requests_at_once_store_one_exposure() -> None:
    experiment, customer = make_experiment(), make_customer()
    control = experiment.arms.all()[0]

    async def storm() -> None:
        await asyncio.gather(*(record([meet(customer.pk, arm=control)]) for _ in range(10)))

    asyncio.run(storm())
    assert Exposure.objects.filter(customer=customer).count() == 1


def test_batches_in_opposite_order_do_not_wait_for_each_other_in_a_circle() -> None:
    control = make_experiment().arms.all()[0]
    first, between, last = (meet(c.pk, arm=control) for c in make_customers(3))
    with other_sessions(2) as run:
        with transaction.atomic():
            record_here(between)
            up = run(lambda: asyncio.run(record([first, between, last])))
            down = run(lambda: asyncio.run(record([last, between, first])))
            wait_for_blocked(2)
            transaction.set_rollback(True)
        up.result(timeout=10)
        down.result(timeout=10)
    assert Exposure.objects.count() == 3


def record_here(met: Met) -> None:
    """Record an exposure in the test's own session."""
    experiment = Experiment.objects.get(pk=met.experiment_id)
    expose(experiment, Customer.objects.get(pk=met.customer_id), "control", at=met.at)
