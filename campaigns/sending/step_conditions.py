"""For whom a step is, as a marketer chooses it and as the rule that is kept.

Who does not meet the condition skips the step's message and goes on to the next step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import models

from audience.audiences.saving import find_rules
from audience.models import Audience
from audience.rules.grammar import (
    Events,
    Happened,
    In,
    Named,
    NoRule,
    Not,
    Rule,
    parse_rule,
    to_json,
)
from audience.rules.nesting import find_names, inline
from audience.rules.values import Test
from audience.rules.wording import describe
from campaigns.models import Campaign, Step
from campaigns.tracking.hits import CLICKED


class Kind(models.TextChoices):
    """What can be asked."""

    EVERYBODY = "everybody", "Everybody who got this far"
    MEMBER = "member", "Only who is in the audience below"
    NO_MEMBER = "no_member", "Only who is not in the audience below"
    CLICKED = "clicked", "Only who clicked in a message of this campaign"
    NOT_CLICKED = "not_clicked", "Only who clicked in no message of this campaign"
    # As a command may have written it.
    OTHER = "other", "As it is: a rule that this page cannot show"


@dataclass(frozen=True, slots=True)
class Condition:
    """What is asked, and the key of the audience where it is about one."""

    kind: Kind = Kind.EVERYBODY
    audience: str = ""

    def to_rule(self, campaign_key: str) -> dict[str, Any]:
        """Return the rule to keep; of another kind there is none to make."""
        clicked = _clicked(campaign_key)
        rules: Mapping[Kind, Rule] = {
            Kind.MEMBER: In(self.audience),
            Kind.NO_MEMBER: Not(In(self.audience)),
            Kind.CLICKED: clicked,
            Kind.NOT_CLICKED: Not(clicked),
        }
        return to_json(rules[self.kind]) if self.kind in rules else {}


def read_condition(step: Step) -> Condition:
    """Return what a step asks."""
    if not step.only_if:
        return Condition()
    try:
        audiences = list(find_names(parse_rule(step.only_if)))
    except NoRule:
        return Condition(Kind.OTHER)
    known = (Condition(kind, *audiences[:1]) for kind in Kind)
    written = (each for each in known if each.to_rule(step.campaign.key) == step.only_if)
    return next(written, Condition(Kind.OTHER))


def resolve_condition(step: Step) -> Rule:
    """Return the rule of a step that has one, with audiences' rules in their place.

    Raises:
        NoRule: It means nothing, perhaps because an audience is gone.
    """
    return inline(parse_rule(step.only_if), find_rules())


def copy_condition(step: Step, campaign_key: str) -> dict[str, Any]:
    """Return a step's rule for a copy of its campaign: its clicks are those of the copy."""
    condition = read_condition(step)
    kept: dict[str, Any] = step.only_if
    return kept if condition.kind is Kind.OTHER else condition.to_rule(campaign_key)


def describe_steps(campaign: Campaign) -> list[tuple[Step, str]]:
    """Return the steps of a campaign, each with for whom it is, in words."""
    names = dict(Audience.objects.values_list("key", "name"))
    steps = campaign.steps.select_related("campaign").prefetch_related("messages")
    return [(step, _say(step, names)) for step in steps]


def _say(step: Step, names: Mapping[str, str]) -> str:
    """Say for whom a step is; nothing where it is for everybody who got so far."""
    condition = read_condition(step)
    if condition.kind is Kind.EVERYBODY:
        return ""
    if condition.kind in {Kind.CLICKED, Kind.NOT_CLICKED}:
        return condition.kind.label
    try:
        return f"Only if {describe(parse_rule(step.only_if), names)}"
    except NoRule:
        return "Nobody: its condition means nothing"


def _clicked(campaign_key: str) -> Rule:
    return Happened(Events(CLICKED, (Named("campaign", Test("equal", campaign_key)),)), 1)
