"""Fill a slate with a customer's products, drawn place by place from a ranking's list."""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from campaigns.deciding.choice import Choice, fall_back
from campaigns.deciding.draw import draw_offer, draw_seed
from campaigns.deciding.eligibility import OfferRules, Uses, Window, count_towards, limits_reached
from campaigns.deciding.recall import Held
from campaigns.deciding.snapshot import (
    RunningArm,
    RunningCampaign,
    RunningOffer,
    RunningSlate,
    Serves,
)
from campaigns.deciding.tally import Tally
from recommender.listing.lists import Listed, Sorted
from recommender.listing.products import Product, to_plain_product
from recommender.ranking.reading import Lists

# What the log has room for in the place of an offer's key.
LONGEST_KEY = 60


@dataclass(frozen=True, slots=True)
class SlateChooser:
    """One customer before the products of a campaign's ranking.

    Attributes:
        campaign: The running campaign.
        slate: What it shows.
        arm: The customer's arm.
        customer_key: Of the customer; the draw hashes it.
        customer_id: Of the customer; None is somebody unknown.
        lists: What rankings list.
        uses: What the customer had before, as limits ask.
        member_of: The audiences that the customer is in, of those that matter; None is not known.
        tally: What was given out; what is chosen is added.
        now: The time of the decision.
    """

    campaign: RunningCampaign
    slate: RunningSlate
    arm: RunningArm
    customer_key: str
    customer_id: int | None
    lists: Lists
    uses: Uses
    member_of: Collection[int] | None
    tally: Tally
    now: datetime

    def choose(self, ids: Sequence[uuid.UUID]) -> Iterator[Choice]:
        """Fill the places, one decision after the other, no product twice.

        The personalised arm draws each place from what is left by a softmax, whose probability is
        logged with it: a slate's own is the product of its places'. The control shows what the
        ranking lists for everybody, best first. The first place always has a choice.
        """
        if self.arm.serves is Serves.NOTHING:
            yield Choice(ids[0], None, 1.0, ("hold-out: no offer",))
            return
        is_personal = self.arm.serves is Serves.POLICY
        listed = find_listed(self.slate, self.arm, self.lists, self.customer_id)
        if listed is None or not listed.items:
            yield self._fall_back(ids[0], "the ranking lists nothing now")
            return
        ids = ids[: self.slate.places]
        made = self._draw(ids, listed) if is_personal else self._take(ids, listed)
        against: str | None = "the ranking's rules leave nothing"
        for choice in made:
            limit = limits_reached(self.campaign.limits, self.uses, self.tally, now=self.now)
            if limit is not None:
                against = limit if choice.id == ids[0] else None
                break
            against = None
            count_towards(self.campaign.limits, self.uses, self.tally, now=self.now)
            yield choice
        if against is not None:
            yield self._fall_back(ids[0], against)

    def _fall_back(self, id_: uuid.UUID, reason: str) -> Choice:
        return fall_back(
            id_,
            self.campaign,
            (reason,),
            member_of=self.member_of,
            tally=self.tally,
            now=self.now,
        )

    def _draw(self, ids: Sequence[uuid.UUID], listed: Listed) -> Iterator[Choice]:
        draws = Sorted(listed).draws()
        by_whom = f"drawn from {listed.ranking} version {listed.version}"
        for id_ in ids:
            left = draws.left()
            if not left:
                return
            seed = draw_seed(self.campaign.key, version=listed.version, decision_id=id_)
            weights = draws.weights(self.slate.temperature)
            draw = draw_offer(weights, seed=seed, customer_key=self.customer_key)
            yield Choice(
                id_,
                offer=to_offer(listed.product(draws.take(draw.index))),
                propensity=draw.propensity,
                reasons=(by_whom,),
                eligible=left,
                weights=draw.weights,
                policy_version=listed.version,
                ranker_version=listed.version_id,
            )

    def _take(self, ids: Sequence[uuid.UUID], listed: Listed) -> Iterator[Choice]:
        by_whom = f"best of {listed.ranking} version {listed.version} for everybody"
        for id_, key in zip(ids, Sorted(listed).best(len(ids)), strict=False):
            yield Choice(
                id_,
                offer=to_offer(listed.product(key)),
                propensity=1.0,
                reasons=(by_whom,),
                ranker_version=listed.version_id,
            )


def find_listed(
    slate: RunningSlate, arm: RunningArm, lists: Lists, customer_id: int | None
) -> Listed | None:
    """Return what an arm shows a customer from: their own list, or everybody's.

    What has a key that is too long for the log is not in it.
    """
    everybodys = arm.serves is not Serves.POLICY
    listed = lists.find(slate.ranking, customer_id, of_everybody=everybodys)
    if listed is None or all(len(key) <= LONGEST_KEY for key in listed.items):
        return listed
    kept = [
        (item, score)
        for item, score in zip(listed.items, listed.scores, strict=True)
        if len(item) <= LONGEST_KEY
    ]
    items, scores = tuple(item for item, _ in kept), tuple(score for _, score in kept)
    return replace(listed, items=items, scores=scores)


def show_again(
    slate: RunningSlate, held: Sequence[Held], listed: Listed | None, *, count: int
) -> Sequence[Product] | None:
    """Return the products of the last slate, while it is long enough and all of it can be had.

    Args:
        slate: What the campaign shows.
        held: The places of the last slate.
        listed: What the customer's arm would be shown from now.
        count: How many places are asked for.
    """
    if listed is None:
        return None
    kept = [slot.offer or "" for slot in held[:count]]
    # What is no product any more, a fallback perhaps, is drawn anew.
    known = [key for key in kept if key in listed.products or key in listed.items]
    products = [product for key in known if (product := listed.product(key)).in_stock]
    possible = len(Sorted(listed).best(slate.places))
    if len(products) < len(kept) or len(products) < min(count, slate.places, possible):
        return None
    return products


def to_offer(product: Product) -> RunningOffer:
    """Return a product as an offer, without limits of its own."""
    rules = OfferRules(product.key, is_active=True, window=Window())
    return RunningOffer(rules, baseline_weight=0, content=product_content(product))


def product_content(product: Product) -> Mapping[str, Any]:
    """Return what a product says in the place of an offer."""
    plain = to_plain_product(product)
    name = product.name or product.key
    return {**plain, "name": name, "headline": name, "text": "", "link": product.url}


def whole_slate(contents: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return what a message says that shows a slate: its first product, and all of them."""
    return {**contents[0], "products": list(contents)}
