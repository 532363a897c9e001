from dataclasses import replace

import pytest

from campaigns.customers.explaining import (
    CampaignState,
    PastDraw,
    say_draw,
    say_offer_state,
    say_state,
)
from tests.makers import DAY, NOW

NAMES = {"red": "Red shoes", "blue": "Blue hat"}
WHEN = "2 March 2026, 12:00 UTC"
DRAW = PastDraw(
    decided_at=NOW,
    offer="red",
    propensity=0.25,
    arm_name="Personalised",
    is_hold_out=False,
    eligible=["red", "blue"],
    weights=[0.25, 0.75],
    reasons=["drawn by policy version 3"],
)
STATE = CampaignState(
    "Spring", "Running", is_running=True, arm_name="Personalised", serves="policy"
)


def test_an_offer_is_explained_by_its_chances() -> None:
    assert say_draw(DRAW, NAMES) == [
        f"{WHEN}: “Red shoes”, in “Personalised”. Its chance was 25.0%.",
        "The chances were: “Red shoes” 25.0%, “Blue hat” 75.0%.",
        "Drawn by policy version 3.",
    ]


def test_a_hold_out_is_explained_by_what_it_is_for() -> None:
    held = replace(DRAW, offer=None, is_hold_out=True, reasons=["hold-out: no offer"])
    (said,) = say_draw(held, NAMES)
    assert "gets none, so that the others can be compared" in said


def test_who_is_held_out_from_all_campaigns_is_told_by_which_epoch() -> None:
    reasons = ["hold-out of all campaigns: Spring 2026"]
    held = replace(DRAW, offer=None, is_hold_out=True, reasons=reasons)
    (said,) = say_draw(held, NAMES, about="red")
    assert said.startswith(f"{WHEN}: no offer. “Spring 2026” held the customer out from all")
    (state,) = say_state(replace(STATE, held_out_by="Spring 2026"), now=NOW)
    assert "until it ends there is no offer" in state


def test_the_offer_that_was_asked_about_could_have_been_drawn() -> None:
    said = say_draw(DRAW, NAMES, about="blue")
    assert said[1:] == [
        "“Blue hat” could have been drawn, by a chance of 75.0%; the draw fell on another."
    ]


def test_the_offer_that_was_asked_about_had_reached_a_limit() -> None:
    capped = "blue was given to this customer 2 times in 30 days"
    draw = replace(
        DRAW, eligible=["red"], weights=[1.0], reasons=["drawn by baseline shares", capped]
    )
    assert say_draw(draw, NAMES, about="blue")[1:] == [
        "“Blue hat” was not among what could be drawn.",
        "“Blue hat” was given to this customer 2 times in 30 days.",
    ]


def test_of_the_offer_that_was_given_no_other_reasons_are_listed() -> None:
    draw = replace(DRAW, reasons=["drawn by baseline shares", "blue has ended"])
    assert len(say_draw(draw, NAMES, about="red")) == 1


def test_where_nothing_could_be_shown_the_reasons_say_why() -> None:
    draw = replace(
        DRAW, offer=None, eligible=[], weights=[], reasons=["red has ended", "no offer is eligible"]
    )
    assert say_draw(draw, NAMES) == [
        f"{WHEN}: no offer. None could be shown to this customer at that moment.",
        "“Red shoes” has ended.",
        "No offer is eligible.",
    ]
    assert "is not known" in say_draw(draw, NAMES, about="blue")[1]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (replace(STATE, is_running=False, status="Paused"), "its state is “Paused”"),
        (replace(STATE, starts_at=NOW + DAY), "begins on 3 March 2026"),
        (replace(STATE, ends_at=NOW), "ended on 2 March 2026"),
        (replace(STATE, arm_name=None), "none of the campaign's arms"),
        (replace(STATE, has_met=True), "is in “Personalised”, which gets offers chosen by"),
        (replace(STATE, serves="baseline"), "would be in “Personalised”, which gets offers by"),
        (replace(STATE, serves="nothing", starts_at=NOW), "which gets no offer"),
        (replace(STATE, serves="else", ends_at=NOW + DAY), "what its payload says"),
    ],
)
def test_what_would_happen_now_is_said(state: CampaignState, words: str) -> None:
    (said,) = say_state(state, now=NOW)
    assert words in said


def test_an_earlier_campaign_decides_first() -> None:
    said = say_state(replace(STATE, earlier=["Winter", "Club"]), now=NOW)
    assert "“Winter” and “Club”" in said[0]
    assert len(said) == 2


def test_the_state_of_an_offer_is_said() -> None:
    assert say_offer_state("it has ended", campaigns=["A"], name="Red") == [
        "The offer cannot be shown now: it has ended."
    ]
    assert say_offer_state(None, campaigns=[], name="Red") == ["No running campaign has “Red”."]
    assert say_offer_state(None, campaigns=["A", "B"], name="Red") == [
        "“Red” is offered by “A”, “B”."
    ]
