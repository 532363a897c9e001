"""Which worker takes what."""

from pathlib import Path

from config.celery import app
from config.embedded import site
from config.embedded.processes import Surroundings
from config.schedule import SCHEDULE


def queue_of(task: str) -> str:
    route = app.amqp.router.route({}, task)
    return str(route["queue"].name) if "queue" in route else str(app.conf.task_default_queue)


def test_training_keeps_nobody_else_waiting() -> None:
    queues = {str(entry["task"]): queue_of(str(entry["task"])) for entry in SCHEDULE.values()}
    alone = {task for task, queue in queues.items() if queue == "training"}
    assert alone == {"recommender.train_rankers", "recommender.check_rankings"}
    assert set(queues.values()) == {"training", "celery"}


def test_every_queue_has_a_worker_on_one_machine() -> None:
    surroundings = Surroundings(environment={}, directory=Path())
    programs = [
        site.worker_program(surroundings, name=name, queue=queue) for name, queue in site.WORKERS
    ]
    assert [program.argv[program.argv.index("-Q") + 1] for program in programs] == [
        "celery",
        "training",
    ]
    assert len({program.name for program in programs}) == 2
