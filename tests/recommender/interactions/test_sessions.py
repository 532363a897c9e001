"""Sessions end with a pause, and are asked for step by step."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import session_rankers
from recommender.interactions.histories import Histories
from recommender.interactions.sessions import cut_sessions, next_in_session
from recommender.judging.judge import judge
from recommender.rankers.popularity import Popularity
from recommender.rankers.session_knn import SessionKnn

MINUTE = 60.0
# Ann comes twice before the moment and once after; Bob stays over it; Cy comes after it, and meets
# what nobody had met; Di meets one thing.
TIMES = np.array([0, 1, 100, 101, 900, 901, 902, 498, 502, 700, 701, 702, 800]) * MINUTE
HISTORIES = Histories.of([[0, 1, 2, 3, 0, 1, 0], [4, 0], [2, 7, 3], [0]], n_items=8, times=TIMES)
MOMENT = 500 * MINUTE


def lists(histories: Histories) -> list[list[int]]:
    return [histories.items_of(row).tolist() for row in range(len(histories))]


def test_a_pause_begins_a_new_session() -> None:
    cut = cut_sessions(HISTORIES, gap_minutes=30)
    assert lists(cut) == [[0, 1], [2, 3], [0, 1, 0], [4, 0], [2, 7, 3], [0]]
    # Somebody else's session is another one, however soon it comes.
    near = Histories.of([[1], [2, 3]], n_items=4, times=np.array([0.0, 1.0, 2.0]))
    assert lists(cut_sessions(near, gap_minutes=30)) == [[1], [2, 3]]


def test_later_sessions_are_revealed_step_by_step() -> None:
    split = next_in_session(HISTORIES, MOMENT, gap_minutes=30)
    assert lists(split.learned) == [[0, 1], [2, 3], [4, 0]]
    assert lists(split.asked) == [[0], [0, 1], [2]]
    assert lists(split.answers) == [[1], [0], [3]]
    assert split.learned.times[0] < MOMENT <= split.asked.times.min()


def test_sessions_are_needed_on_both_sides() -> None:
    for moment in (-1.0, 2000 * MINUTE):
        with pytest.raises(ValueError, match="between sessions"):
            next_in_session(HISTORIES, moment, gap_minutes=30)


def test_what_was_met_in_a_session_may_come_again() -> None:
    split = next_in_session(HISTORIES, MOMENT, gap_minutes=30)
    ranker = Popularity().fit(split.learned)
    # 0 was met twice and is always first; of the rest, the lower number.
    again = judge(ranker, split, k=20, seen_too=True).each["mrr@20"]
    np.testing.assert_allclose(again, [1 / 2, 1, 1 / 4])
    new = judge(ranker, split, k=20).each["mrr@20"]
    np.testing.assert_allclose(new, [1, 0, 1 / 3])


def test_near_sessions_foresee_what_popularity_does_not() -> None:
    rng = np.random.default_rng(5)
    paths = [[10 * (n % 3) + step for step in range(4)] for n in range(120)]
    times = np.concatenate([n * 1e4 + rng.uniform(10, 60) * np.arange(4) for n in range(120)])
    histories = Histories.of(paths, n_items=40, times=times)
    split = next_in_session(histories, 90 * 1e4, gap_minutes=30)
    near = judge(SessionKnn().fit(split.learned), split, k=20).means["mrr@20"]
    popular = judge(Popularity().fit(split.learned), split, k=20).means["mrr@20"]
    assert near > 0.9 > 2 * popular


def test_a_shops_own_file_of_events_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(6)
    rows = ["timestamp,visitorid,event,itemid,transactionid"]
    for visitor in range(200):
        at = 1433221332117 + visitor * 3_600_000
        rows += [
            f"{at + step * 60_000},{visitor},view,{7 * (visitor % 5) + step},"
            for step in range(int(rng.integers(2, 6)))
        ]
    table = tmp_path / "events.csv"
    table.write_text("\r\n".join(rows))
    monkeypatch.setattr("sys.argv", ["session_rankers", str(table), "--events", "view"])
    session_rankers.main()
    said = capsys.readouterr().out
    assert "events.csv, next in session" in said
    mrr = {line[:18].strip(): float(line[19:25]) for line in said.splitlines()[2:]}
    assert mrr["session kNN"] > mrr["popularity"]
