"""Machines are told from people, in a labelled sample and in each published pattern."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import pytest

from campaigns.tracking.machines import Hit, Kind, find_machines
from tests.campaigns.tracking.traffic import (
    CHROME,
    IPHONE,
    KNOWN,
    PEOPLE,
    SENT_AT,
    UNSEEN,
    Visit,
    draw,
)

CHROME_120 = CHROME.format(120)


def shares(visits: Sequence[Visit]) -> tuple[float, float, "Counter[str]"]:
    """Return the share of machines' requests that are caught and of people's that are lost."""
    caught = machines = lost = people = 0
    wrong: Counter[str] = Counter()
    for visit in visits:
        reasons = find_machines(visit.hits, sent_at=SENT_AT)
        for reason, is_machine in zip(reasons, visit.is_machine, strict=True):
            machines += is_machine
            people += not is_machine
            caught += bool(reason) and is_machine
            lost += bool(reason) and not is_machine
            wrong[visit.family] += bool(reason) is not is_machine
    return caught / max(machines, 1), lost / max(people, 1), wrong


def test_nearly_all_machines_are_caught_and_nearly_no_person_is_lost() -> None:
    caught, _, wrong = shares(draw(KNOWN, count=4000, seed=1))
    assert caught >= 0.98, wrong
    _, lost, wrong = shares(draw(PEOPLE, count=4000, seed=2))
    assert lost <= 0.01, wrong


def test_so_are_machines_that_no_rule_was_written_for() -> None:
    caught, _, wrong = shares(draw(UNSEEN, count=4000, seed=3))
    assert caught >= 0.98, wrong


def test_a_person_behind_a_gateway_still_counts() -> None:
    _, lost, wrong = shares(draw(KNOWN[-1:], count=2000, seed=4))
    assert lost <= 0.01, wrong


def click(after: float, link: int = 0, agent: str = CHROME_120, address: str = "") -> Hit:
    return Hit(SENT_AT + timedelta(seconds=after), Kind.CLICK, link, "GET", agent, address)


@pytest.mark.parametrize(
    "hit",
    [
        click(3),
        Hit(SENT_AT + timedelta(hours=1), Kind.CLICK, 0, "HEAD", CHROME_120),
        Hit(SENT_AT + timedelta(hours=1), Kind.CLICK, 0, "GET", CHROME_120, is_ahead=True),
        Hit(SENT_AT + timedelta(hours=1), Kind.TRAP, 0, "GET", CHROME_120),
        Hit(SENT_AT + timedelta(hours=1), Kind.OPEN, 0, "GET", "Mozilla/5.0", "1.2.3.4"),
        Hit(SENT_AT + timedelta(hours=1), Kind.OPEN, 0, "GET", CHROME_120, "17.1.2.3"),
        Hit(SENT_AT + timedelta(seconds=1), Kind.OPEN, 0, "GET", CHROME_120, "1.2.3.4"),
        click(9999, address="104.47.1.2"),
        click(9999, address="2a01:111:f400::1"),
        click(9999, agent="curl/8"),
        click(9999, agent=""),
        click(9999, agent="Googlebot/2.1 (+http://www.google.com/bot.html)"),
    ],
)
def test_a_machine_alone_is_known(hit: Hit) -> None:
    assert find_machines([hit], sent_at=SENT_AT) != [""]


@pytest.mark.parametrize(
    "hit",
    [
        click(5),
        click(9999, agent=IPHONE.format(5, 5), address="84.1.2.3"),
        click(9999, address="not an address"),
        click(9999, address="2003:e5::1"),
        Hit(SENT_AT + timedelta(seconds=3), Kind.OPEN, 0, "GET", CHROME_120),
    ],
)
def test_a_person_alone_is_one(hit: Hit) -> None:
    assert find_machines([hit], sent_at=SENT_AT) == [""]


def test_without_the_time_of_sending_nothing_is_too_soon() -> None:
    assert find_machines([click(0)], sent_at=None) == [""]


def test_two_links_soon_after_each_other_are_a_persons_and_three_at_once_are_not() -> None:
    assert find_machines([click(60, 0), click(62, 1)], sent_at=SENT_AT) == ["", ""]
    assert all(find_machines([click(60, n) for n in range(3)], sent_at=SENT_AT))
    slowly = [click(60 + 5 * n, n) for n in range(4)]
    assert find_machines(slowly, sent_at=SENT_AT) == [""] * 4


def test_who_was_found_out_is_known_by_the_network_for_a_while() -> None:
    burst = [click(60 + n, n, address="51.1.1.7") for n in range(3)]
    same, later = click(200, 3, address="51.1.1.9"), click(60_000, 3, address="51.1.1.9")
    other = click(200, 3, address="84.1.1.9")
    reasons = find_machines([*burst, same, other, later], sent_at=SENT_AT)
    assert [bool(reason) for reason in reasons] == [True] * 4 + [False] * 2
    odd = [click(60 + n, n, address="?") for n in range(3)]
    assert find_machines([*odd, click(90, 3, address="?")], sent_at=SENT_AT)[3]


def test_who_goes_into_the_trap_is_a_machine_in_all_it_does() -> None:
    trap = Hit(SENT_AT + timedelta(seconds=90), Kind.TRAP, 0, "GET", CHROME_120, "51.1.1.7")
    assert all(find_machines([click(89, address="51.1.1.7"), trap], sent_at=SENT_AT))
