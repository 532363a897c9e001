"""The running campaigns in memory."""

import asyncio
from collections.abc import Callable

import pytest
from django.db import connection as django_connection
from psycopg import AsyncConnection

from campaigns.deciding.loading import SnapshotLoader
from campaigns.deciding.snapshot import Serves, Snapshot
from campaigns.models import Offer, OfferContent
from experiments.lifecycle.adjusting import halt_arm
from recommender.learning.pinning import pin_version, unpin
from recommender.models import Policy, PolicyVersion
from recommender.weighing.features import CategoryFeature, FeatureSpec
from recommender.weighing.odds import Odds
from tests.asgi import database_url
from tests.campaigns.client_shop import read_snapshot
from tests.makers import HOUR, NOW, make_campaign, make_offer

pytestmark = pytest.mark.django_db(transaction=True)


def load() -> Snapshot:
    """Read the snapshot once."""
    return asyncio.run(read_snapshot())


def test_it_holds_what_deciding_needs() -> None:
    campaign = make_campaign(
        offers=[make_offer(key="gift"), make_offer(key="saving")],
        features=FeatureSpec((CategoryFeature("segment", ("a", "b")),)),
        held_back_share=0.25,
    )
    make_campaign(started_at=None)

    loaded = load()
    assert list(loaded.campaigns) == [campaign.placement.key]
    assert len(loaded.placements) == 2
    (running,) = loaded.campaigns[campaign.placement.key]
    assert running.key == campaign.key
    assert [arm.serves for arm in running.arms] == [Serves.BASELINE, Serves.POLICY, Serves.NOTHING]
    assert [offer.rules.key for offer in running.offers] == ["gift", "saving"]
    assert running.policy.odds.offers == ("gift", "saving")
    assert running.policy.odds.features.size == 3
    assert (running.policy.version, running.policy.held_back_share) == (0, 0.25)
    assert running.policy.judging_floor == campaign.policy.floor


def test_a_halted_arm_serves_what_the_control_serves() -> None:
    campaign = make_campaign()
    halt_arm(campaign.experiment, "personalised", by=None, now=NOW, reason="harm")
    ((running,),) = load().campaigns.values()
    served = {arm.key: (arm.serves, arm.is_halted) for arm in running.arms}
    assert served == {
        "control": (Serves.BASELINE, False),
        "personalised": (Serves.BASELINE, True),
        "hold-out": (Serves.NOTHING, False),
    }


def test_only_a_campaign_that_changed_is_made_anew() -> None:
    shared = make_offer(key="shared")
    one, other = make_campaign(offers=[make_offer(), shared]), make_campaign(offers=[shared])
    placed = other.placement
    third = make_campaign(offers=[make_offer(key="gift")])

    async def read_often(loader: SnapshotLoader, *changes: Callable[[], object]) -> list[Snapshot]:
        read = []
        async with await AsyncConnection.connect(database_url(), autocommit=True) as connection:
            for change in (lambda: None, *changes):
                await asyncio.to_thread(in_thread, change)
                read.append(await loader(connection))
        return read

    def in_thread(change: Callable[[], object]) -> None:
        try:
            change()
        finally:
            django_connection.close()

    first, same, priced, said, damaged = asyncio.run(
        read_often(
            SnapshotLoader(),
            lambda: None,
            lambda: Offer.objects.filter(key="gift").update(cost_cents=5),
            lambda: OfferContent.objects.create(offer=shared, placement=placed, headline="New"),
            lambda: one.experiment.arms.update(payload={}),
        )
    )
    keys = [campaign.placement.key for campaign in (one, other, third)]

    def kept(before: Snapshot, after: Snapshot) -> list[bool]:
        return [before.campaigns[key][0] is after.campaigns[key][0] for key in keys]

    assert same == first
    assert kept(first, same) == [True, True, True]
    assert kept(same, priced) == [True, True, False]
    assert priced.campaigns[keys[2]][0].offers[0].rules.cost_cents == 5
    content = said.campaigns[keys[1]][0].offers[0].content
    assert content is not None
    assert content["headline"] == "New"
    assert keys[0] not in damaged.campaigns
    assert damaged.campaigns[keys[1]] == said.campaigns[keys[1]]


def test_a_damaged_campaign_does_not_keep_the_others_from_deciding(
    caplog: pytest.LogCaptureFixture,
) -> None:
    damaged, sound = make_campaign(), make_campaign()
    damaged.experiment.arms.update(payload={})
    assert list(load().campaigns) == [sound.placement.key]
    assert f"The campaign {damaged.key} cannot be run" in caplog.text


def test_a_pinned_version_decides_and_does_not_expire() -> None:
    campaign = make_campaign()
    policy = campaign.policy
    Policy.objects.update(expires_after_hours=1)
    features = FeatureSpec.from_json(policy.features)
    for number in (1, 2, 3):
        odds = Odds.prior(tuple(policy.offers), features=features, floor=0.01, version=number)
        PolicyVersion.objects.create(
            policy=policy,
            number=number,
            odds=odds.to_bytes(),
            learned_from=number,
            published_at=NOW,
        )
    ((newest,),) = load().campaigns.values()
    assert (newest.policy.version, newest.policy.expires_at) == (3, NOW + HOUR)
    pin_version(policy.versions.get(number=2))
    ((pinned,),) = load().campaigns.values()
    assert (pinned.policy.version, pinned.policy.expires_at) == (2, None)
    assert pinned.policy.odds.version == 2
    unpin(policy)
    ((newest,),) = load().campaigns.values()
    assert newest.policy.version == 3
