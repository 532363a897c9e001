"""What is stored of policies and rankings, of their decisions, and of what these earned."""

from recommender.models.challengers import Challenger, PublishingHold
from recommender.models.decisions import Decision, Reversal, Reward
from recommender.models.learned import OfferStatistics, PolicyLeaves, PolicyNetwork
from recommender.models.policies import (
    Policy,
    PolicyEvaluation,
    PolicyQuerySet,
    PolicyVersion,
    RewardKind,
    no_features,
)
from recommender.models.prices import PolicyPrice
from recommender.models.rankings import (
    Product,
    RankerCheck,
    RankerVersion,
    Ranking,
    TopPicks,
)

__all__ = [
    "Challenger",
    "Decision",
    "OfferStatistics",
    "Policy",
    "PolicyEvaluation",
    "PolicyLeaves",
    "PolicyNetwork",
    "PolicyPrice",
    "PolicyQuerySet",
    "PolicyVersion",
    "Product",
    "PublishingHold",
    "RankerCheck",
    "RankerVersion",
    "Ranking",
    "Reversal",
    "Reward",
    "RewardKind",
    "TopPicks",
    "no_features",
]
