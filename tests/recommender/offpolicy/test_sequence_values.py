"""Policies over time, judged off a log whose truth the season knows."""

from dataclasses import replace

import numpy as np
import pytest

from recommender.offpolicy.counterfactuals import GREEDY, LEARNED
from recommender.offpolicy.sequence_values import (
    AS_DRAWN,
    EVENLY,
    SequenceLog,
    crossfit_worth,
    estimate_sequences,
    judge_sequences,
    sequence_targets,
)
from recommender.offpolicy.sequences import per_decision_ips
from recommender.offpolicy.values import PolicyValue
from recommender.simulators.fatigue import Chooses, Season, Seen, evenly, play, value_of
from recommender.weighing.features import FeatureSpec
from recommender.weighing.odds import Odds

DAYS, FADE = 6, 0.95
SEASON = Season(seed=2, days=DAYS, base=-1.5)


def mild(season: Season) -> Chooses:
    """Prefer waiting to whoever was contacted yesterday."""

    def choose(seen: Seen) -> np.ndarray:
        tired = (seen.columns["contact.days_since"] < 2)[:, None]
        return np.where(tired, [[0.1, 0.1, 0.1, 0.7]], [[0.3, 0.3, 0.3, 0.1]])

    return choose


def make_log(n: int, seed: int) -> tuple[SequenceLog, np.ndarray]:
    """Log every offer equally often; return what `mild` would do beside it."""
    played = play(SEASON, evenly(SEASON), shoppers=n, seed=seed)
    log = SequenceLog(
        features=played.encode(SEASON.features),
        action=played.action,
        weights=played.chances,
        reward=played.reward,
        fade=np.tile(FADE ** np.arange(DAYS), (n, 1)),
        exists=np.ones((n, DAYS), dtype=bool),
        actions=SEASON.actions,
    )
    choose = mild(SEASON)
    return log, np.stack([choose(seen) for seen in played.seen], axis=1)


def make_odds(
    offers: tuple[str, ...] = SEASON.actions, spec: FeatureSpec = SEASON.features
) -> Odds:
    rng = np.random.default_rng(3)
    d = spec.size
    return Odds(
        offers=offers,
        mean=0.05 * rng.normal(size=(len(offers), d)),
        factor=np.zeros((len(offers), d, d)),
        floor=0.01,
        features=spec,
        version=1,
        temperature=0.1,
    )


def test_the_cross_fitted_estimate_covers_what_the_season_knows() -> None:
    truth, _ = value_of(SEASON, mild(SEASON), shoppers=100_000, seed=9, discount=FADE)
    times, covered, narrower = 30, 0, 0
    for seed in range(times):
        log, target = make_log(1500, seed)
        robust, plain = judge_sequences(log, target), per_decision_ips(log.sequences(target))
        assert isinstance(robust, PolicyValue)
        assert isinstance(plain, PolicyValue)
        covered += robust.low <= truth <= robust.high
        narrower += robust.high - robust.low < plain.high - plain.low
    assert covered / times >= 0.95 - 4 * (0.95 * 0.05 / times) ** 0.5
    assert narrower == times


def test_a_customer_s_worth_is_predicted_by_others_alone() -> None:
    log, target = make_log(200, 1)
    before = crossfit_worth(log, target)
    changed = log.reward.copy()
    changed[0] += 100.0
    after = crossfit_worth(replace(log, reward=changed), target)
    np.testing.assert_array_equal(before[0], after[0])
    assert np.abs(after - before).max() > 1.0


def test_worths_of_the_last_day_are_rewards_and_of_the_first_all_that_is_to_come() -> None:
    log, target = make_log(20_000, 2)
    worth = crossfit_worth(log, target)
    value = (target * worth).sum(axis=2)
    assert value[:, -1].mean() == pytest.approx(log.reward[:, -1].mean(), rel=0.5)
    truth, _ = value_of(SEASON, mild(SEASON), shoppers=20_000, seed=3, discount=FADE)
    assert value[:, 0].mean() == pytest.approx(truth, rel=0.1)


def test_where_a_row_is_over_nothing_more_is_expected() -> None:
    log, target = make_log(300, 4)
    exists = log.exists.copy()
    exists[:, 1:] = False
    worth = crossfit_worth(replace(log, exists=exists), target)
    assert not worth[:, 1:].any()
    alone = crossfit_worth(
        SequenceLog(
            log.features[:, :1], log.action[:, :1], log.weights[:, :1], log.reward[:, :1],
            log.fade[:, :1], log.exists[:, :1], log.actions,
        ),
        target[:, :1],
    )  # fmt: skip
    np.testing.assert_array_equal(worth[:, :1], alone)


def test_targets_are_policies_over_what_could_be_drawn() -> None:
    log, _ = make_log(50, 5)
    weights = log.weights.copy()
    weights[0, 2] = [0.5, 0.5, 0.0, 0.0]
    log = replace(log, weights=weights, action=np.where(log.weights[..., 0] > 0, 0, 0))
    targets = sequence_targets(make_odds(), log)
    assert set(targets) == {LEARNED, GREEDY, AS_DRAWN, EVENLY}
    for target in targets.values():
        np.testing.assert_allclose(target.sum(axis=2), 1.0)
        assert not target[0, 2, 2:].any()
    assert set(np.unique(targets[GREEDY])) == {0.0, 1.0}
    # What is weighed for a single customer is the same.
    odds = make_odds()
    one = odds.weights(log.features[7, 3], np.ones(4, dtype=bool))
    np.testing.assert_allclose(targets[LEARNED][7, 3], one, rtol=1e-12)


def test_what_a_version_does_not_know_it_never_shows() -> None:
    log, _ = make_log(20, 6)
    targets = sequence_targets(make_odds(SEASON.actions[1:]), log)
    for label in (LEARNED, GREEDY, EVENLY):
        assert not targets[label][..., 0].any()


def test_rows_say_how_much_more_the_first_policy_brings() -> None:
    log, target = make_log(2000, 7)
    rows = estimate_sequences({LEARNED: target, AS_DRAWN: log.weights}, log)
    assert [row["policy"] for row in rows] == [LEARNED, AS_DRAWN]
    assert [row["is_rival"] for row in rows] == [False, True]
    assert rows[0]["advantage"] is None
    gain = rows[1]["advantage"]
    assert gain["estimate"] == pytest.approx(rows[0]["dr"]["estimate"] - rows[1]["dr"]["estimate"])
    assert rows[1]["snips"]["estimate"] == pytest.approx(
        float((log.reward * log.fade).sum(axis=1).mean())
    )


def test_fewer_customers_than_folds_are_refused() -> None:
    log, target = make_log(4, 8)
    with pytest.raises(ValueError, match="Folds must lie between 2 and the 4 customers"):
        crossfit_worth(log, target)
