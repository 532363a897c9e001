"""Requests for the links and pictures of mails, by whom they were made.

Nobody publishes a log of such traffic, so this is one drawn from what is published about each kind
of visitor: when it comes, from where, what it asks for and what it says it is. What is not
published is drawn from a wide range. Each family names where its description is from.

The rules were written with the families of `KNOWN` in mind. Those of `UNSEEN` were written down
afterwards, from descriptions of other products, and nothing was changed because of them.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from campaigns.tracking.machines import Hit, Kind

SENT_AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
LINKS = 5
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/{}.0.0.0 Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{} like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.{} Mobile/15E148 Safari/604.1"
)
ANDROID = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/{}.0.0.0 Mobile Safari/537.36"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:{0}.0) Gecko/20100101 Firefox/{0}.0"
OUTLOOK = "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Microsoft Outlook 16.0.{})"
THUNDERBIRD = "Mozilla/5.0 (Windows NT 10.0; rv:115.0) Gecko/20100101 Thunderbird/115.{}.0"

GOOGLE = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"


@dataclass(frozen=True, slots=True)
class Visit:
    """What was seen of one mail, and of each request whether a machine made it."""

    family: str
    hits: Sequence[Hit]
    is_machine: Sequence[bool]


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def browser(rng: random.Random) -> str:
    agent = rng.choice([CHROME, IPHONE, ANDROID, FIREFOX])
    return (
        agent.format(rng.randrange(1, 7), rng.randrange(1, 7))
        if agent is IPHONE
        else (agent.format(rng.randrange(110, 125)))
    )


def home(rng: random.Random) -> str:
    """An address of somebody's provider at home or of a telephone network."""
    first = rng.choice([24, 71, 78, 80, 84, 86, 91, 92, 93, 95, 109, 151, 176, 178, 188, 212])
    return f"{first}.{rng.randrange(1, 255)}.{rng.randrange(1, 255)}.{rng.randrange(1, 255)}"


def cloud(rng: random.Random) -> str:
    """An address of somebody's computing centre."""
    first = rng.choice(["3.120", "18.185", "34.90", "35.205", "51.105", "13.69", "20.50"])
    return f"{first}.{rng.randrange(1, 255)}.{rng.randrange(1, 255)}"


def click(at: timedelta, link: int, agent: str, address: str, method: str = "GET") -> Hit:
    return Hit(SENT_AT + at, Kind.CLICK, link, method, agent, address)


def opened(at: timedelta, agent: str, address: str, *, is_ahead: bool = False) -> Hit:
    return Hit(SENT_AT + at, Kind.OPEN, 0, "GET", agent, address, is_ahead)


# --- People -----------------------------------------------------------------------------------


def person(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """Opens some minutes to days later, and follows one or two links, now and then one twice."""
    at = seconds(rng.lognormvariate(8.5, 2.0) + 6)
    agent, address = browser(rng), home(rng)
    yield opened(at, rng.choice([agent, OUTLOOK.format(rng.randrange(9999))]), address), False
    links = rng.sample(range(LINKS), rng.choice([1, 1, 1, 1, 2, 2, 3]))
    for link in links:
        at += seconds(rng.lognormvariate(2.5, 1.0) + 1)
        yield click(at, link, agent, address), False
        if rng.random() < 0.1:
            yield click(at + seconds(rng.uniform(0.3, 2)), link, agent, address), False


def quick_person(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """Has the telephone in hand: opens within seconds, and follows a link at once."""
    agent, address = rng.choice([IPHONE, ANDROID]).format(5, 5), home(rng)
    at = seconds(rng.uniform(6, 60))
    yield opened(at, agent, address), False
    yield click(at + seconds(rng.uniform(1.5, 10)), rng.randrange(LINKS), agent, address), False


def gmail_reader(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """Its picture is fetched by Google's proxy when it is opened (Google Workspace admin help,
    "Set up an image URL proxy allowlist")."""
    at = seconds(rng.lognormvariate(8.0, 2.0) + 6)
    yield opened(at, GOOGLE, f"66.249.{rng.randrange(80, 96)}.{rng.randrange(1, 255)}"), False
    link = rng.randrange(LINKS)
    yield click(at + seconds(rng.uniform(2, 60)), link, browser(rng), home(rng)), False


def office_reader(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """Shares one address with all of an office."""
    address = f"193.{rng.randrange(1, 255)}.{rng.randrange(1, 255)}.10"
    at = seconds(rng.lognormvariate(8.5, 1.5) + 10)
    agent = rng.choice([CHROME.format(120), FIREFOX.format(121)])
    yield opened(at, OUTLOOK.format(rng.randrange(9999)), address), False
    yield click(at + seconds(rng.uniform(3, 90)), rng.randrange(LINKS), agent, address), False


def thunderbird_reader(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    at = seconds(rng.lognormvariate(9, 1.5) + 10)
    address = home(rng)
    yield opened(at, THUNDERBIRD.format(rng.randrange(9)), address), False
    link = rng.randrange(LINKS)
    yield click(at + seconds(rng.uniform(3, 90)), link, FIREFOX.format(121), address), False


# --- Machines that the rules were written for ---------------------------------------------------


def safelinks(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """Microsoft Defender for Office 365: detonates links before delivery, from Exchange Online
    Protection's addresses, as a browser (Microsoft Learn, "Safe Links", "Microsoft 365 URLs and
    IP address ranges"); senders report clicks on every link within seconds."""
    at, address = seconds(rng.uniform(0.5, 40)), f"40.94.{rng.randrange(255)}.{rng.randrange(255)}"
    if rng.random() < 0.5:
        address = f"52.{rng.randrange(100, 104)}.{rng.randrange(255)}.{rng.randrange(255)}"
    for link in range(LINKS):
        yield click(at, link, CHROME.format(rng.randrange(79, 120)), address), True
        at += seconds(rng.uniform(0.0, 0.8))


def proofpoint(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """Proofpoint URL Defense: sandboxes some links, from its own addresses or a cloud's (help
    pages on URL Defense; senders' reports of non-human interaction)."""
    at = seconds(rng.uniform(0.2, 90))
    address = rng.choice(
        [f"148.163.{rng.randrange(128, 160)}.7", f"67.231.{rng.randrange(144, 160)}.9"]
    )
    for link in rng.sample(range(LINKS), rng.randrange(1, LINKS)):
        yield click(at, link, CHROME.format(rng.randrange(80, 120)), address), True
        at += seconds(rng.uniform(0.1, 3))


def barracuda(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """Barracuda Email Protection: follows all links as they pass, many by HEAD (Barracuda Campus,
    "Link Protection"; senders' reports)."""
    at, address = seconds(rng.uniform(0.1, 5)), f"209.222.8{rng.randrange(8)}.{rng.randrange(255)}"
    method = rng.choice(["HEAD", "GET"])
    for link in range(LINKS):
        yield click(at, link, CHROME.format(98), address, method), True
        at += seconds(rng.uniform(0, 0.3))


def mimecast(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """Mimecast URL Protect: scans at delivery and at the click, from its data centres (Mimecaster
    Central, "URL Protect", "Data centers and URLs")."""
    at = seconds(rng.uniform(1, 30))
    address = rng.choice(["205.139.110.61", "207.211.30.242", "185.58.86.17", "195.130.217.5"])
    for link in range(LINKS):
        yield click(at, link, CHROME.format(rng.randrange(80, 120)), address), True
        at += seconds(rng.uniform(0, 0.5))


def apple_privacy(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """Apple Mail Privacy Protection: fetches every picture through relays, at any time after
    delivery, and says only "Mozilla/5.0" (Apple, "Mail Privacy Protection"; senders' tests)."""
    at = seconds(rng.uniform(3, 86_400))
    address = (
        f"17.{rng.randrange(255)}.{rng.randrange(255)}.4" if rng.random() < 0.3 else cloud(rng)
    )
    yield opened(at, "Mozilla/5.0", address), True


def gmail_ahead(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """Google's proxy, where it fetches a picture at delivery instead of at opening."""
    address = f"66.249.{rng.randrange(80, 96)}.{rng.randrange(1, 255)}"
    yield opened(seconds(rng.uniform(0.1, 1.9)), GOOGLE, address), True


def library(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """A small gateway that follows links with a library."""
    agent = rng.choice(
        [
            "python-requests/2.31",
            "curl/8.4.0",
            "Go-http-client/1.1",
            "Java/17.0.2",
            "",
            "okhttp/4.9",
        ]
    )
    for link in rng.sample(range(LINKS), rng.randrange(1, 4)):
        yield click(seconds(rng.uniform(1, 600)), link, agent, cloud(rng)), True


def safelinks_and_person(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """The gateway first; hours later its reader, who counts."""
    yield from safelinks(rng)
    yield from person(rng)


# --- Machines that no rule was written for ------------------------------------------------------


def sandbox(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """Trellix (FireEye) and Trend Micro: open links in a real browser in a cloud, one after the
    other, within minutes of delivery (Trellix "Email Security" and Trend Micro "Time-of-click"
    product pages)."""
    at, address = seconds(rng.uniform(5, 240)), cloud(rng)
    for link in range(LINKS):
        yield click(at, link, CHROME.format(rng.randrange(90, 125)), address), True
        at += seconds(rng.uniform(0.2, 2.5))


def ironport(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """Cisco Secure Email: asks for the heads of links at delivery (Cisco, "URL filtering")."""
    at, address = seconds(rng.uniform(0.1, 20)), cloud(rng)
    for link in range(LINKS):
        yield click(at, link, FIREFOX.format(102), address, "HEAD"), True
        at += seconds(rng.uniform(0, 1))


def symantec(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """Symantec Email Security.cloud: follows links at delivery, before the mail is passed on
    (Broadcom, "Link following")."""
    at, address = seconds(rng.uniform(0.2, 3.5)), cloud(rng)
    for link in rng.sample(range(LINKS), rng.randrange(2, LINKS + 1)):
        yield click(at, link, CHROME.format(94), address), True
        at += seconds(rng.uniform(0, 0.1))


def many_addresses(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """Avanan (Check Point): every link from another address of a cloud, all at about the same
    time (Check Point, "Click-time protection"; senders' reports)."""
    at = seconds(rng.uniform(10, 120))
    for link in range(LINKS):
        agent = rng.choice([CHROME.format(112), FIREFOX.format(110)])
        yield click(at + seconds(rng.uniform(0, 4)), link, agent, cloud(rng)), True


def prefetching(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """A browser that fetches ahead what its reader may want (W3C, "Sec-Purpose")."""
    at = seconds(rng.uniform(60, 4000))
    yield opened(at, CHROME.format(120), home(rng), is_ahead=True), True


def chat_preview(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """A link that was passed on in a chat, which looks what is behind it."""
    agent = rng.choice(
        [
            "WhatsApp/2.23.20.0 A",
            "TelegramBot (like TwitterBot)",
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
            "facebookexternalhit/1.1",
        ]
    )
    yield click(seconds(rng.uniform(100, 90_000)), rng.randrange(LINKS), agent, cloud(rng)), True


def lone_sandbox(rng: random.Random) -> Iterator[tuple[Hit, bool]]:
    """One link, once, some minutes later, from a cloud, as a browser: like a person in all that
    can be seen. Some gateways look only at links that they do not know yet."""
    at = seconds(rng.uniform(30, 300))
    yield click(at, rng.randrange(LINKS), CHROME.format(118), cloud(rng)), True


Family = Callable[[random.Random], Iterator[tuple[Hit, bool]]]
PEOPLE: Sequence[tuple[Family, int]] = (
    (person, 40), (quick_person, 10), (gmail_reader, 30), (office_reader, 15),
    (thunderbird_reader, 5),
)  # fmt: skip
KNOWN: Sequence[tuple[Family, int]] = (
    (safelinks, 25), (proofpoint, 15), (barracuda, 15), (mimecast, 15), (apple_privacy, 20),
    (gmail_ahead, 5), (library, 5), (safelinks_and_person, 10),
)  # fmt: skip
UNSEEN: Sequence[tuple[Family, int]] = (
    (sandbox, 25), (ironport, 20), (symantec, 20), (many_addresses, 20), (prefetching, 5),
    (chat_preview, 5), (lone_sandbox, 1),
)  # fmt: skip


def draw(families: Sequence[tuple[Family, int]], *, count: int, seed: int) -> Sequence[Visit]:
    """Draw visits of families by their shares."""
    rng = random.Random(seed)  # noqa: S311
    names, weights = zip(*families, strict=True)
    visits = []
    for family in rng.choices(names, weights, k=count):
        hits = sorted(family(rng), key=lambda pair: pair[0].at)
        visits.append(Visit(family.__name__, [hit for hit, _ in hits], [is_ for _, is_ in hits]))
    return visits
