"""What facts of offers teach, against the same model written as one multivariate normal."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_t

from recommender.arrays import FloatArray, IntArray
from recommender.bandits import FACT_KINDS, load_bandit
from recommender.bandits.base import Hyperparameters, Statistics
from recommender.bandits.hybrid import Apart, Model, Sums, find_spread
from recommender.bandits.randomised_ucb import RandomisedUCB
from recommender.bandits.thompson import LinearThompson
from recommender.weighing.features import FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds
from recommender.weighing.offer_facts import Contrast, FactColumns

K, D, Q = 5, 3, 2
PRIOR, SHAPE, SCALE = 2.5, 1.0, 0.16
FEATURES = FeatureSpec(tuple(NumberFeature(name, 0.0, 1.0) for name in "ab"))
SETTINGS = Hyperparameters(prior_strength=PRIOR, noise_sd=0.4)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices this small gain nothing from threads, and wait for them on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Log:
    offer: IntArray
    x: FloatArray
    reward: FloatArray
    z: FloatArray

    @property
    def statistics(self) -> list[Statistics]:
        return LinearThompson().accumulate(self.offer, self.x, self.reward, n_offers=len(self.z))


def make_log(seed: int, *, n: int = 60, offers: int = K, told: float = 1.0) -> Log:
    """The last offer is new: nobody was given it yet."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, D - 1))])
    z = rng.normal(size=(offers, Q)) / np.sqrt(Q)
    theta = 0.5 + told * z @ rng.normal(size=(Q, D)) + 0.1 * rng.normal(size=(offers, D))
    offer = rng.integers(offers - 1, size=n)
    return Log(offer, x, (x * theta[offer]).sum(axis=1) + 0.3 * rng.normal(size=n), z)


def make_sums(log: Log) -> Sums:
    each = log.statistics
    return Sums(
        a=torch.tensor(np.stack([one.precision_update for one in each])),
        b=torch.tensor(np.stack([one.b for one in each])),
        n=float(len(log.reward)),
        s=float(log.reward @ log.reward),
        prior=PRIOR,
        noise_shape=SHAPE,
        noise_scale=SCALE,
    )


def make_model(log: Log, *, own: float, told: float) -> Model:
    return Model(Apart(make_sums(log), torch.tensor(log.z), own=own), told=told)


@dataclass(frozen=True)
class Joint:
    """All unknowns in one vector: m₀, B row by row, each offer's e_k; the prior's covariance / σ²,
    what rewards are of them, and what offers' coefficients are of them."""

    covariance: FloatArray
    design: FloatArray
    offers: FloatArray  # (K d, unknowns)

    @classmethod
    def of(cls, log: Log, *, own: float, told: float) -> "Joint":
        offers = len(log.z)
        variances = [1.0 / (0.01 * PRIOR)] * D + [told / PRIOR] * (Q * D)
        variances += [own / PRIOR] * (offers * D)
        w = np.column_stack([np.ones(offers), log.z, np.eye(offers)])
        coefficients = np.kron(w, np.eye(D))  # θ = (w ⊗ I) unknowns
        rows = [
            row @ coefficients[k * D : (k + 1) * D] for row, k in zip(log.x, log.offer, strict=True)
        ]
        return cls(np.diag(variances), np.array(rows), coefficients.astype(np.float64))

    def posterior(self, reward: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Condition on rewards, by the normal's formula with the n by n covariance of rewards."""
        across = self.covariance @ self.design.T
        of_rewards = np.eye(len(reward)) + self.design @ across
        gain = across @ np.linalg.inv(of_rewards)
        return gain @ reward, self.covariance - gain @ across.T

    def log_density(self, reward: FloatArray) -> float:
        """The density of rewards where σ² ~ inverse gamma: a multivariate Student t."""
        of_rewards = np.eye(len(reward)) + self.design @ self.covariance @ self.design.T
        student = multivariate_t(shape=SCALE / SHAPE * of_rewards, df=round(2 * SHAPE))
        return float(student.logpdf(reward))


@pytest.mark.parametrize("own", [1.0, 0.1])
@pytest.mark.parametrize("told", [0.3, 0.03])
def test_offers_are_believed_to_be_as_the_joint_normal_says(own: float, told: float) -> None:
    log = make_log(1)
    found = make_model(log, own=own, told=told).conclude()
    joint = Joint.of(log, own=own, told=told)
    mean, covariance = joint.posterior(log.reward)
    np.testing.assert_allclose(found.mean.flatten(), joint.offers @ mean, atol=1e-9)
    np.testing.assert_allclose(found.common_mean, mean[:D], atol=1e-9)
    np.testing.assert_allclose(found.teaching.flatten(), mean[D : D * (1 + Q)], atol=1e-9)
    facts = slice(D, D * (1 + Q))
    np.testing.assert_allclose(
        found.doubt.reshape(Q * D, Q * D), covariance[facts, facts], atol=1e-9
    )


@pytest.mark.parametrize("own", [1.0, 0.1])
def test_the_doubt_about_what_facts_teach_widens_offers(own: float) -> None:
    log, told = make_log(2), 0.3
    found = make_model(log, own=own, told=told).conclude()
    joint = Joint.of(log, own=own, told=told)
    # Given m₀, which raises all offers alike, and B, an offer's own part is conditioned on its own
    # rewards. What is unknown of B comes through as it does to a new offer, less what they say.
    _, doubt = joint.posterior(log.reward)
    doubt = doubt[D : D * (1 + Q), D : D * (1 + Q)]
    for k in range(K):
        mine = log.x[log.offer == k]
        precision = PRIOR / own * np.eye(D) + mine.T @ mine
        kept = np.linalg.solve(precision, PRIOR / own * np.eye(D))
        along = np.kron(log.z[k], np.eye(D))  # (d, q d)
        expected = np.linalg.inv(precision) + kept @ along @ doubt @ along.T @ kept.T
        np.testing.assert_allclose(found.root[k] @ found.root[k].T, expected, atol=1e-9)


def test_a_new_offer_is_as_unsure_as_the_joint_normal_says_but_for_what_all_share() -> None:
    log = make_log(3)
    found = make_model(log, own=0.3, told=0.1).conclude()
    joint = Joint.of(log, own=0.3, told=0.1)
    _, covariance = joint.posterior(log.reward)
    # The newcomer's θ - m₀, from the joint posterior alone.
    newcomer = joint.offers[-D:].copy()
    newcomer[:, :D] = 0.0
    expected = newcomer @ covariance @ newcomer.T
    np.testing.assert_allclose(found.root[-1] @ found.root[-1].T, expected, atol=1e-9)


def test_the_evidence_is_the_density_of_a_multivariate_student_t() -> None:
    log = make_log(4, n=30)
    pairs = [(1.0, 0.3), (0.1, 0.03), (0.3, 0.1)]
    found = np.array([make_model(log, own=u, told=t).evidence for u, t in pairs])
    without = np.array([make_model(log, own=u, told=t).evidence_without for u, t in pairs])
    density = np.array([Joint.of(log, own=u, told=t).log_density(log.reward) for u, t in pairs])
    plain = np.array([Joint.of(log, own=u, told=1e-13).log_density(log.reward) for u, _ in pairs])
    # Up to a constant, the same for all.
    np.testing.assert_allclose(found - density, (found - density)[0], atol=1e-7)
    np.testing.assert_allclose(without - plain, (found - density)[0], atol=1e-7)


@pytest.mark.parametrize("told", [0.0, 0.1, 1.0])
def test_the_spread_without_facts_is_that_of_most_evidence(told: float) -> None:
    log = make_log(12, n=300, offers=9, told=told)
    spreads = [10.0 ** (step / 2) for step in range(-4, 5)]
    density = [Joint.of(log, own=u, told=1e-13).log_density(log.reward) for u in spreads]
    spread, _ = find_spread(make_sums(log))
    assert spread == pytest.approx(spreads[int(np.argmax(density))])


def test_the_noise_is_that_of_the_joint_normal() -> None:
    log = make_log(5)
    found = make_model(log, own=0.3, told=0.3).conclude()
    joint = Joint.of(log, own=0.3, told=0.3)
    of_rewards = np.eye(len(log.reward)) + joint.design @ joint.covariance @ joint.design.T
    squares = log.reward @ np.linalg.solve(of_rewards, log.reward)
    expected = (SCALE + squares / 2) / (SHAPE + len(log.reward) / 2)
    np.testing.assert_allclose(found.noise_variance, expected, rtol=1e-9)


def publish(bandit: LinearThompson, log: Log, facts: FactColumns | None) -> Odds:
    if facts is not None:
        bandit.read_facts(facts)
    return bandit.publish(
        log.statistics,
        offers=tuple(f"offer-{k}" for k in range(len(log.z))),
        features=FEATURES,
        floor=0.01,
        version=3,
    )


def columns_of(log: Log) -> FactColumns:
    return FactColumns(
        log.z, tuple(Contrast(f"fact {i}", "more", along) for i, along in enumerate(np.eye(Q)))
    )


@pytest.mark.parametrize("kind", sorted(FACT_KINDS))
def test_without_facts_versions_are_the_same_to_the_bit(kind: str) -> None:
    log = make_log(6)
    versions = [
        publish(load_bandit(kind)(SETTINGS), log, facts)  # type: ignore[arg-type]  # all are linear
        for facts in (None, FactColumns(np.zeros((K, 0))))
    ]
    assert versions[0].to_bytes() == versions[1].to_bytes()


@pytest.mark.parametrize("kind", sorted(FACT_KINDS))
def test_nothing_learned_means_even_weights_whatever_is_known(kind: str) -> None:
    log = make_log(7, n=0)
    odds = publish(load_bandit(kind)(SETTINGS), log, columns_of(log))  # type: ignore[arg-type]  # all are linear
    weights = odds.weights(np.array([1.0, 2.0, -1.0]), np.ones(K, dtype=bool))
    np.testing.assert_allclose(weights, 1 / K, atol=1e-12)
    assert odds.taught == ()


def test_facts_of_other_offers_are_seldom_believed() -> None:
    believed = []
    for seed in range(30):
        log = make_log(seed, n=300, offers=12, told=0.3)
        mixed = FactColumns(log.z[np.random.default_rng(seed).permutation(12)])
        with_facts, without = (
            publish(RandomisedUCB(SETTINGS), log, facts) for facts in (mixed, None)
        )
        believed.append(not np.array_equal(with_facts.mean, without.mean))
    # By chance one set of facts in e³ at most is so much likelier than none: one or two of
    # 30, and three standard errors.
    assert np.sum(believed) <= 30 * np.exp(-3) + 3 * np.sqrt(30 * np.exp(-3))


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_offers_changes_nothing(seed: int) -> None:
    log = make_log(seed, n=400, offers=9)
    order = np.random.default_rng(seed).permutation(9)
    place = np.argsort(order)
    shuffled = Log(place[log.offer], log.x, log.reward, log.z[order])
    odds = publish(RandomisedUCB(SETTINGS), log, columns_of(log))
    other = publish(RandomisedUCB(SETTINGS), shuffled, columns_of(shuffled))
    np.testing.assert_allclose(other.mean, odds.mean[order], atol=1e-9)
    x = np.random.default_rng(seed).normal(size=(20, D))
    np.testing.assert_allclose(other.predict(x)[1], odds.predict(x)[1][:, order], atol=1e-9)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), unit=st.floats(1e-3, 1e4))
def test_the_unit_of_reward_changes_nothing(seed: int, unit: float) -> None:
    log = make_log(seed, n=400, offers=9)
    in_cents = Log(log.offer, log.x, unit * log.reward, log.z)
    cents = Hyperparameters(prior_strength=PRIOR, noise_sd=0.4 * unit)
    odds = publish(RandomisedUCB(SETTINGS), log, columns_of(log))
    other = publish(RandomisedUCB(cents), in_cents, columns_of(in_cents))
    np.testing.assert_allclose(other.mean / unit, odds.mean, atol=1e-8)
    for one, same in zip(odds.taught, other.taught, strict=True):
        np.testing.assert_allclose(same.effect / unit, one.effect, atol=1e-8)


def test_a_new_offer_starts_where_offers_with_its_facts_are() -> None:
    log = make_log(8, n=4_000, offers=30)
    odds, plain = (publish(RandomisedUCB(SETTINGS), log, f) for f in (columns_of(log), None))
    rng = np.random.default_rng(8)
    rng.normal(size=(4_000, D - 1)), rng.normal(size=(30, Q))
    truth = 0.5 + log.z @ rng.normal(size=(Q, D))
    # Offers differ by 0.1 in each coefficient besides, and B is known nearly.
    assert np.abs(odds.mean[-1] - truth[-1]).max() < 3 * 0.1
    assert np.abs(plain.mean[-1] - truth[-1]).max() > np.abs(odds.mean[-1] - truth[-1]).max()
    sure, unsure = odds.predict(log.x)[1][:, -1], plain.predict(log.x)[1][:, -1]
    assert (sure < unsure).all()


def test_effects_are_those_on_the_average_customer_and_their_intervals_hold() -> None:
    inside = []
    for seed in range(30):
        log = make_log(seed, n=1_000, offers=20, told=0.3)
        rng = np.random.default_rng(seed)
        rng.normal(size=(1_000, D - 1)), rng.normal(size=(20, Q))
        teaching = 0.3 * rng.normal(size=(Q, D))
        odds = publish(RandomisedUCB(SETTINGS), log, columns_of(log))
        average = log.x.mean(axis=0)
        assert len(odds.taught) == Q
        inside += [
            each.low < float(row @ average) < each.high
            for each, row in zip(odds.taught, teaching, strict=True)
        ]
    # 95% of 60 but for three standard errors of that.
    assert np.mean(inside) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 60)


def test_new_offers_are_as_unsure_as_they_are_far_off() -> None:
    """Nine in ten of newcomers' truths lie in their 95% intervals; without facts half of them do.

    Over 150 worlds it was 93% and 55% (with 8 known offers instead of 24: 90% and 48%). What lacks
    of 95% is that the spread of offers is taken as known, and so is what all share.
    """
    inside: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(30):
        rng = np.random.default_rng(seed)
        x = np.column_stack([np.ones(2_000), rng.normal(size=(2_000, D - 1))])
        z = rng.normal(size=(30, Q)) / np.sqrt(Q)
        theta = 0.5 + 0.3 * z @ rng.normal(size=(Q, D)) + 0.1 * rng.normal(size=(30, D))
        offer = rng.integers(24, size=2_000)
        reward = (x * theta[offer]).sum(axis=1) + 0.3 * rng.normal(size=2_000)
        log = Log(offer, x, reward, z)
        for knows_facts in (True, False):
            facts = columns_of(log) if knows_facts else None
            mean, sd = publish(RandomisedUCB(), log, facts).predict(x[:50])
            error = (x[:50] @ theta.T - mean) / sd
            inside[knows_facts].append(float((np.abs(error[:, 24:]) < 1.96).mean()))
    assert np.mean(inside[True]) > 0.93 - 3 * np.std(inside[True]) / np.sqrt(30)
    assert np.mean(inside[False]) < 0.75


def test_what_was_taught_is_kept_with_the_version_and_by_its_prices() -> None:
    log = make_log(9, n=2_000, offers=12)
    odds = publish(RandomisedUCB(SETTINGS), log, columns_of(log))
    assert odds.taught
    charged = odds.charge({"offer-1": 0.2}, version=4)
    assert Odds.from_bytes(charged.to_bytes()).taught == odds.taught


@pytest.mark.gpu
def test_cuda_and_cpu_agree() -> None:
    log = make_log(11, n=5_000, offers=20)
    on_cpu, on_cuda = (
        publish(RandomisedUCB(SETTINGS, device=device), log, columns_of(log))
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(on_cuda.mean, on_cpu.mean, atol=1e-9)
    np.testing.assert_allclose(on_cuda.predict(log.x)[1], on_cpu.predict(log.x)[1], atol=1e-9)
    assert on_cuda.taught
