"""Says in sentences why a person got an offer, or none, from what was logged of the decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from campaigns.deciding.holdout import epoch_in
from campaigns.deciding.snapshot import Serves
from experiments.wording import say_value


@dataclass(frozen=True, slots=True)
class PastDraw:
    """A logged decision, as far as it explains itself.

    `weights` belong to `eligible`, place by place; both are empty where nothing was drawn.
    """

    decided_at: datetime
    offer: str | None
    propensity: float
    arm_name: str
    is_hold_out: bool
    eligible: Sequence[str]
    weights: Sequence[float]
    reasons: Sequence[str]


@dataclass(frozen=True, slots=True)
class CampaignState:
    """What keeps a campaign from deciding for a person now, or would.

    Attributes:
        name: Of the campaign.
        status: What its state is called.
        is_running: Whether it decides.
        starts_at: Before then it does not.
        ends_at: Nor from then on.
        earlier: Campaigns of the same placement that are asked first, by name.
        arm_name: The arm that the person met, or will meet; None where there is none.
        serves: What that arm gives.
        has_met: Whether the person met it.
        held_out_by: The hold-out that keeps the person from all campaigns, by name; empty if none.
    """

    name: str
    status: str
    is_running: bool
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    earlier: Sequence[str] = ()
    arm_name: str | None = None
    serves: str = ""
    has_met: bool = False
    held_out_by: str = ""


def say_share(share: float) -> str:
    """Write a probability as people do."""
    return say_value(share, unit="percent")


def say_time(moment: datetime) -> str:
    """Write a time of day, in UTC."""
    return f"{moment:%-d %B %Y, %H:%M} UTC"


def name_offer(key: str, names: Mapping[str, str]) -> str:
    """Return what an offer is called, or its key where it is not known any more."""
    return f"“{names.get(key, key)}”"


def say_draw(draw: PastDraw, names: Mapping[str, str], *, about: str | None = None) -> list[str]:
    """Say how a decision came about.

    Args:
        draw: The decision.
        names: What offers are called, by key.
        about: The offer that was asked about; None for all of them.
    """
    when = say_time(draw.decided_at)
    epoch = next(filter(None, map(epoch_in, draw.reasons)), None)
    if epoch is not None:
        return [
            f"{when}: no offer. “{epoch}” held the customer out from all campaigns, so that what "
            "they come to together can be measured."
        ]
    if draw.is_hold_out:
        return [
            f"{when}: no offer, because the customer is in “{draw.arm_name}”, which gets none, so "
            "that the others can be compared with it."
        ]
    if draw.offer is None:
        said = [f"{when}: no offer. None could be shown to this customer at that moment."]
    else:
        said = [
            f"{when}: {name_offer(draw.offer, names)}, in “{draw.arm_name}”. "
            f"Its chance was {say_share(draw.propensity)}."
        ]
    if about is None:
        said += _say_chances(draw, names)
    elif about != draw.offer:
        said.append(_say_missed(draw, about, names))
    said += [_named(reason, names) for reason in draw.reasons if _matters(reason, about, names)]
    return said


def say_state(state: CampaignState, *, now: datetime) -> list[str]:
    """Say what would happen if the person came now."""
    if not state.is_running:
        return [f"“{state.name}” is not running: its state is “{state.status}”."]
    if state.starts_at is not None and now < state.starts_at:
        return [f"“{state.name}” begins on {say_time(state.starts_at)}."]
    if state.ends_at is not None and now >= state.ends_at:
        return [f"“{state.name}” ended on {say_time(state.ends_at)}."]
    if state.held_out_by:
        return [
            f"“{state.held_out_by}” holds the customer out from all campaigns: until it ends there "
            "is no offer."
        ]
    said = []
    if state.earlier:
        first = " and ".join(f"“{name}”" for name in state.earlier)
        said.append(
            f"In the same placement {first} decides first; this campaign is asked only where that "
            "one has no arm for the customer."
        )
    if state.arm_name is None:
        said.append(
            "The customer falls into none of the campaign's arms, so it does not decide for them."
        )
        return said
    verb = "is" if state.has_met else "would be"
    said.append(f"The customer {verb} in “{state.arm_name}”, {_gives(state.serves)}.")
    return said


def say_offer_state(against: str | None, *, campaigns: Sequence[str], name: str) -> list[str]:
    """Say whether an offer can be given to anybody now.

    Args:
        against: Why it may not be shown, as a decision would log it.
        campaigns: The running campaigns that have it, by name.
        name: Of the offer.
    """
    if against is not None:
        return [f"The offer cannot be shown now: {against}."]
    if not campaigns:
        return [f"No running campaign has “{name}”."]
    return [f"“{name}” is offered by " + ", ".join(f"“{one}”" for one in campaigns) + "."]


def _say_chances(draw: PastDraw, names: Mapping[str, str]) -> list[str]:
    if not draw.eligible:
        return []
    chances = ", ".join(
        f"{name_offer(key, names)} {say_share(weight)}"
        for key, weight in zip(draw.eligible, draw.weights, strict=True)
    )
    return [f"The chances were: {chances}."]


def _say_missed(draw: PastDraw, about: str, names: Mapping[str, str]) -> str:
    offer = name_offer(about, names)
    chances = dict(zip(draw.eligible, draw.weights, strict=True))
    if about in chances:
        return (
            f"{offer} could have been drawn, by a chance of {say_share(chances[about])}; "
            "the draw fell on another."
        )
    if draw.eligible:
        return f"{offer} was not among what could be drawn."
    return f"What else could have been drawn is not known; {offer} was not."


def _matters(reason: str, about: str | None, names: Mapping[str, str]) -> bool:
    """Tell whether a reason says more of what was asked about than the sentences do."""
    if about is None:
        return True
    subject = reason.partition(" ")[0]
    return subject == about or (subject not in names and not reason.startswith("drawn by "))


def _named(reason: str, names: Mapping[str, str]) -> str:
    """Write a logged reason as a sentence, offers by their names."""
    key, space, rest = reason.partition(" ")
    if key in names:
        return f"{name_offer(key, names)}{space}{rest}."
    return f"{reason[:1].upper()}{reason[1:]}."


def _gives(serves: str) -> str:
    return {
        Serves.NOTHING.value: "which gets no offer, so that the others can be compared with it",
        Serves.BASELINE.value: "which gets offers by fixed shares",
        Serves.POLICY.value: "which gets offers chosen by the learning policy",
    }.get(serves, "which gets what its payload says")
