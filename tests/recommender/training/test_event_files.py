"""What epochs came to can be read by TensorBoard, and is written where it was asked for only."""

import sys
from pathlib import Path

import pytest

from recommender.rankers.base import TrainingContext
from recommender.rankers.two_tower import TwoTower
from recommender.training.event_files import EventFile
from tests.recommender.rankers.worlds import make_histories


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_tensorboard_reads_the_loss_and_validation_of_every_epoch(tmp_path: Path) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="tensorboard is not installed: requirements-training.txt",
    )
    ranker = TwoTower(size=8, epochs=3, batch=64)
    ranker.prepare(TrainingContext(events=tmp_path / "towers"))
    ranker.fit(make_histories(60))
    read = accumulator.EventAccumulator(str(tmp_path / "towers"))
    read.Reload()
    assert set(read.Tags()["scalars"]) == {"loss", "validation", "seconds"}
    losses = read.Scalars("loss")
    assert [each.step for each in losses] == [1, 2, 3]
    assert losses[-1].value < losses[0].value


def test_nothing_is_written_where_nobody_asks(tmp_path: Path) -> None:
    ranker = TwoTower(size=8, epochs=1, batch=64)
    ranker.prepare(TrainingContext(checkpoint=tmp_path / "towers"))
    ranker.fit(make_histories(20))
    assert [path.name for path in tmp_path.iterdir()] == ["towers"]


def test_without_tensorboard_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ModuleNotFoundError, match=r"requirements-training\.txt"):
        EventFile(tmp_path)
