"""Who is held out from all campaigns follows from the epoch's salt alone."""

from campaigns.deciding.holdout import RunningHoldout, epoch_in
from experiments.assigning.assignment import bucket_of


def running(*, seed: str, share: int = 1000) -> RunningHoldout:
    return RunningHoldout(1, "Q1", seed, (7, 8), ((0, share), (share, 9000)), held_out=7)


def test_each_epoch_holds_out_others() -> None:
    first, second = running(seed="q1"), running(seed="q2")
    keys = [f"c{n}" for n in range(20_000)]
    in_first = {key for key in keys if first.place(key) == 7}
    in_both = {key for key in in_first if second.place(key) == 7}
    error = (0.1 * 0.9 / len(keys)) ** 0.5
    assert abs(len(in_first) / len(keys) - 0.1) < 4 * error
    assert abs(len(in_both) / len(in_first) - 0.1) < 4 * (0.09 / len(in_first)) ** 0.5
    # Whom traffic leaves aside is on neither side.
    aside = [key for key in keys if first.place(key) is None]
    assert aside == [key for key in keys if bucket_of("q1", key) >= 9000]
    assert first.held_range == (0, 1000)


def test_the_reason_names_the_epoch() -> None:
    assert epoch_in(running(seed="q1").reason) == "Q1"
    assert epoch_in("hold-out: no offer") is None
