"""Says what facts of offers have taught a policy, in words for the campaign's report."""

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.wording import Unit, say_difference, say_difference_range
from recommender.models import Policy, PolicyVersion
from recommender.weighing.odds import Odds
from recommender.weighing.offer_facts import FactEffect, encode_facts


@dataclass(frozen=True, slots=True)
class TaughtRow:
    """One difference between offers, and what it changes for the average customer."""

    fact: str
    says: str
    effect: str
    interval: str
    is_clear: bool


@dataclass(frozen=True, slots=True)
class Taught:
    """What a version takes facts to change; no rows where they told nothing clearly."""

    version: int
    rows: Sequence[TaughtRow]


def find_taught(policy: Policy, version: PolicyVersion | None, *, unit: Unit) -> Taught | None:
    """Read what facts taught a version; None where nothing is known of the policy's offers."""
    if version is None or not encode_facts(policy.known_facts).contrasts:
        return None
    return Taught(version.number, to_rows(Odds.from_bytes(bytes(version.odds)).taught, unit=unit))


def to_rows(effects: Sequence[FactEffect], *, unit: Unit) -> list[TaughtRow]:
    """Turn effects into what the template shows."""
    return [
        TaughtRow(
            fact=each.fact,
            says=each.says,
            effect=say_difference(each.effect, unit=unit),
            interval=say_difference_range(each.low, each.high, unit=unit),
            is_clear=each.low > 0.0 or each.high < 0.0,
        )
        for each in effects
    ]
