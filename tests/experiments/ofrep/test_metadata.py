"""What an author wrote about a flag reaches the client, beside what we say of it."""

import pytest
from django.core.exceptions import ValidationError

from experiments.assigning.evaluation import Answer, Reason, RunningArm, RunningExperiment
from experiments.models.experiments import check_metadata
from experiments.ofrep.flags import to_flag

ON, OFF = RunningArm(1, "on", 5000, True), RunningArm(2, "off", 5000, False, is_control=True)
AUTHORS = {"owner": "growth", "arm": "not ours"}


def experiment(served: RunningArm | None = None) -> RunningExperiment:
    return RunningExperiment(
        1, "new-cart", "s", (ON, OFF), OFF, {}, 10_000, served=served, metadata=AUTHORS
    )


def test_ours_come_beside_the_authors_and_before_them() -> None:
    flag = to_flag(experiment(), Answer("on", True, Reason.ASSIGNED))
    assert flag.metadata == {
        "owner": "growth",
        "arm": "on",
        "experiment": "new-cart",
        "reason": "assigned",
    }


def test_what_is_the_same_for_everybody_has_the_authors_alone() -> None:
    flag = to_flag(experiment(served=ON), Answer("on", True, Reason.SERVED))
    assert flag.metadata == AUTHORS


@pytest.mark.parametrize("value", [[], "a", {"a": None}, {"a": [1]}, {"a": {}}])
def test_metadata_that_clients_cannot_take_are_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        check_metadata(value)


def test_metadata_are_texts_numbers_and_yes_or_no() -> None:
    check_metadata({"a": "b", "c": 1, "d": 1.5, "e": False})
