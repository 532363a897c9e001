"""The main job on Hillstrom's file: import, analysis in SQL, learning and judging."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import connection, transaction
from django.utils import timezone
from numpy.typing import NDArray
from pytest_django import DjangoDbBlocker
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

from campaigns.casestudies.hillstrom import import_hillstrom, read_rows
from campaigns.models import Campaign
from campaigns.results.outcome import say_outcome
from campaigns.tasks import evaluate_due
from experiments.analysing.analysis import analyse
from experiments.models import Analysis, Exposure
from experiments.stats.estimate import Estimate, result_from_json
from recommender.models import Decision, PolicyEvaluation, Reward
from recommender.tasks import learn_due

# With `--dist loadgroup` one xdist worker imports the file for all of these tests.
pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("hillstrom")]

Arms = dict[str, dict[str, NDArray[np.float64]]]

ARMS = {"mens-email": "Mens E-Mail", "womens-email": "Womens E-Mail"}
CONTROL = "No E-Mail"
SHARES = {"email-visits": "visit", "email-conversion": "conversion"}
SIZES = {"no-email": 21_306, "mens-email": 21_307, "womens-email": 21_387}


@dataclass(frozen=True)
class Job:
    """The campaign after its import and its analysis."""

    campaign: Campaign
    analysis: Analysis

    def result(self, metric: str, arm: str) -> Estimate:
        (found,) = (m for m in self.analysis.report["metrics"] if m["key"] == metric)
        result = result_from_json(found["results"][arm])
        assert isinstance(result, Estimate)
        return result


@pytest.fixture(scope="module")
def job(
    shared_file: Callable[[str], Path], django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[Job]:
    """Import the file once for the whole module, in a transaction that is never committed."""
    rows = read_rows(shared_file("data/hillstrom.csv.gz"))
    with django_db_blocker.unblock(), transaction.atomic():
        campaign = import_hillstrom(rows)
        # Once for all tests, each of which would else check every foreign key of the import.
        connection.check_constraints()
        yield Job(campaign, analyse(campaign.experiment, now=timezone.now()))
        transaction.set_rollback(True)


def close(expected: Any) -> Any:
    return pytest.approx(expected, rel=1e-9)


def test_everybody_is_in_the_arm_of_the_file(job: Job, hillstrom: Arms) -> None:
    report = job.analysis.report
    assert {arm["key"]: arm["customers"] for arm in report["arms"]} == SIZES
    assert {len(hillstrom[group]["visit"]) for group in hillstrom} == set(SIZES.values())
    assert (report["customers"], report["moved"], report["findings"]) == (64_000, 0, [])
    assert Exposure.objects.filter(experiment=job.campaign.experiment_id).count() == 64_000


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("metric", SHARES)
def test_shares_are_those_that_statsmodels_finds_in_the_raw_rows(
    job: Job, hillstrom: Arms, metric: str, arm: str
) -> None:
    ours = job.result(metric, arm)
    treatment, control = (hillstrom[group][SHARES[metric]] for group in (ARMS[arm], CONTROL))
    counts = (treatment.sum(), len(treatment), control.sum(), len(control))
    z, p_value = proportions_ztest(counts[::2], counts[1::2])
    assert (ours.n_treatment, ours.n_control) == counts[1::2]
    assert (ours.treatment_mean, ours.control_mean) == close((treatment.mean(), control.mean()))
    assert ours.relative == close(treatment.mean() / control.mean() - 1)
    assert ours.p_value == close(p_value)
    assert ours.ln_p_value == close(math.log(2) + stats.norm.logsf(abs(z)))
    newcombe = confint_proportions_2indep(*counts, method="newcomb", compare="diff")
    assert (ours.difference_interval.low, ours.difference_interval.high) == close(newcombe)
    ratio = confint_proportions_2indep(*counts, method="log", compare="ratio")
    assert ours.relative_interval is not None
    assert (1 + ours.relative_interval.low, 1 + ours.relative_interval.high) == close(ratio)


@pytest.mark.parametrize("arm", ARMS)
def test_spend_is_that_which_scipy_finds_in_the_raw_rows(
    job: Job, hillstrom: Arms, arm: str
) -> None:
    ours = job.result("email-spend", arm)
    treatment, control = (hillstrom[group]["spend"] for group in (ARMS[arm], CONTROL))
    welch = stats.ttest_ind(treatment, control, equal_var=False)
    interval = welch.confidence_interval(0.95)
    assert (ours.treatment_mean, ours.control_mean) == close((treatment.mean(), control.mean()))
    assert ours.difference == close(treatment.mean() - control.mean())
    assert ours.relative == close(treatment.mean() / control.mean() - 1)
    assert ours.p_value == close(welch.pvalue)
    assert (ours.difference_interval.low, ours.difference_interval.high) == close(
        (interval.low, interval.high)
    )


@pytest.mark.parametrize("arm", [*ARMS, "no-email"])
def test_the_moments_are_those_of_the_raw_rows(job: Job, hillstrom: Arms, arm: str) -> None:
    raw = hillstrom[ARMS.get(arm, CONTROL)]
    rows = np.array([raw["visit"], raw["conversion"], raw["spend"]])  # (3, n)
    stored = job.analysis.moments["arms"][arm]
    covariance = np.array(stored["covariance"])[:3, :3]
    np.testing.assert_allclose(stored["mean"][:3], rows.mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(covariance, np.cov(rows), rtol=1e-9)


def test_mens_e_mail_wins_the_visits(job: Job) -> None:
    verdict = job.analysis.report["verdict"]
    assert verdict["kind"] == "win"
    # 0.106167 and 0.182757 are the published visit rates of the two groups.
    assert verdict["sentence"].startswith("Men's e-mail wins: visits rose from 10.6% to 18.3%")


def test_the_learned_policy_is_better_than_chance_and_no_worse_than_the_best_e_mail(
    job: Job,
) -> None:
    assert learn_due() == 64_000
    assert evaluate_due() == 1
    judged = PolicyEvaluation.objects.get(campaign=job.campaign.key)
    rows = {row["policy"]: row for row in judged.rows}

    learned, chance = rows["Learned policy"], rows["Every offer equally often"]
    assert learned["dr"]["estimate"] > chance["dr"]["estimate"]
    assert chance["advantage"]["low"] > 0
    constants = [rows["Men's e-mail to all"], rows["Women's e-mail to all"]]
    best = max(constants, key=lambda row: float(row["dr"]["estimate"]))
    # One e-mail to all is as good as any learned from this file, and the page has to say so.
    assert best["policy"] == "Men's e-mail to all"
    assert best["advantage"]["low"] < 0 < best["advantage"]["high"]
    assert not judged.integrity["is_broken"]
    assert rows["No offer"]["advantage"]["low"] > 0

    held_back = Decision.objects.filter(campaign=job.campaign.key, held_back=True).count()
    assert learned["dr"]["support"]["n"] == held_back
    assert held_back == pytest.approx(32_000, abs=3 * math.sqrt(16_000))
    assert not Reward.objects.filter(settled_at=None).exists()
    said = "\n".join(say_outcome(job.campaign))
    assert "Men's e-mail wins" in said
    assert "The learned policy is not shown to beat “Men's e-mail to all”" in said
    assert "Offers came as often as their logged chances say" in said
