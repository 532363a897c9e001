"""Tells machines that look into mails from people who read them.

Security gateways follow links before and after they deliver a mail, mail programs fetch pictures
ahead, and both often say that they are browsers. What gives them away is when, from where and how
they come; the published descriptions that each rule rests on are named in the tests' sample.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network


class Kind(Enum):
    """What was asked for."""

    OPEN = "open"
    CLICK = "click"
    # A link that nobody sees.
    TRAP = "trap"


@dataclass(frozen=True, slots=True)
class Hit:
    """One request for a link or the picture of a message.

    Attributes:
        at: When.
        kind: What for.
        link: Which link of the message.
        method: Such as GET.
        agent: What it says it is.
        address: Where it came from, as an IP address, or "".
        is_ahead: Whether it says that it fetches ahead of anybody's asking.
    """

    at: datetime
    kind: Kind
    link: int = 0
    method: str = "GET"
    agent: str = ""
    address: str = ""
    is_ahead: bool = False


# Nobody has received, opened and read a mail so soon after it left.
SOONEST_CLICK = timedelta(seconds=4)
SOONEST_OPEN = timedelta(seconds=2)
# So many links within so long no hand follows; a gateway goes through all there are.
BURST = timedelta(seconds=8)
BURST_LINKS = 3
# Whoever was found out is the same machine for so long, from the same network.
SAME = timedelta(minutes=10)

PROGRAMS = re.compile(
    r"bot\b|bot/|crawl|spider|slurp|scan|preview|fetch|monitor|validator|checker|archiver|"
    r"curl|wget|python|aiohttp|httpx|go-http|java/|okhttp|libwww|httpclient|http-client|axios|"
    r"node|undici|ruby|perl|php|guzzle|winhttp|restsharp|postman|"
    r"headless|phantom|selenium|puppeteer|playwright|electron-scan|"
    r"barracuda|proofpoint|mimecast|safelinks|symantec|messagelabs|ironport|fireeye|trellix|"
    r"forcepoint|fortinet|fortimail|sophos|trend ?micro|avanan|checkpoint|zscaler|cloudmark|"
    r"vade|bitdefender|kaspersky|mcafee|websense|virustotal|urlscan|paloalto|netcraft|"
    r"microsoft office existence|ms-office|msoffice|skypeuri|slackbot|whatsapp|telegram|"
    r"facebookexternalhit|linkedin|twitter|discord|embedly",
    re.IGNORECASE,
)
# Apple's privacy protection fetches every picture, whether or not a mail is opened.
APPLE_AGENT = re.compile(r"Mozilla/5\.0\Z")
BROWSER = re.compile(r"Mozilla/|Opera/|Outlook|Thunderbird|Mail/|Dalvik/", re.IGNORECASE)

# What these publish of the addresses from which their gateways and proxies come.
NETWORKS: Sequence[IPv4Network | IPv6Network] = tuple(
    ip_network(text)
    for text in (
        # Microsoft, Exchange Online Protection: the addresses of Microsoft 365, endpoints 9 and 10.
        "40.92.0.0/15", "40.107.0.0/16", "52.100.0.0/14", "52.238.78.88/32", "104.47.0.0/17",
        "2a01:111:f400::/48", "2a01:111:f403::/48",
        # Proofpoint, its customers' SPF record.
        "67.231.144.0/20", "148.163.128.0/19", "205.220.160.0/19", "185.132.180.0/22",
        "185.183.28.0/22", "91.209.104.0/24", "91.207.212.0/23", "62.209.50.0/24",
        # Mimecast, its data centres.
        "205.139.110.0/23", "207.211.30.0/23", "146.101.78.0/24", "91.220.42.0/24",
        "195.130.217.0/24", "185.58.84.0/22", "103.13.69.0/24", "124.47.150.0/24",
        "170.10.128.0/20", "216.205.24.0/24", "63.128.21.0/24",
        # Barracuda, Email Gateway Defense.
        "209.222.80.0/21", "64.235.144.0/20", "35.176.92.96/27",
    )
)  # fmt: skip
APPLE_NETWORKS: Sequence[IPv4Network | IPv6Network] = tuple(
    ip_network(text) for text in ("17.0.0.0/8", "2620:149::/32", "2a01:b740::/32")
)


def find_machines(hits: Sequence[Hit], *, sent_at: datetime | None) -> Sequence[str]:
    """Say of each hit of one message why it is a machine's, or "" where it is a person's.

    Args:
        hits: All that were seen of one message so far, in the order of their time.
        sent_at: When the message left, if it is known.
    """
    reasons = [_judge_alone(hit, sent_at) for hit in hits]
    for number, reason in enumerate(_judge_together(hits)):
        reasons[number] = reasons[number] or reason
    found = [hit for hit, reason in zip(hits, reasons, strict=True) if reason in GIVES_AWAY]
    for number, hit in enumerate(hits):
        if not reasons[number] and any(_is_same(hit, other) for other in found):
            reasons[number] = "It comes from where a machine just came from."
    return reasons


TOO_MANY = "It followed more links at once than a hand does."
TRAPPED = "It followed a link that nobody sees."
# By these a whole machine is known, not only one request of it.
GIVES_AWAY = {TOO_MANY, TRAPPED}


def _judge_alone(hit: Hit, sent_at: datetime | None) -> str:
    return next((reason for holds, reason in ALONE if holds(hit, sent_at)), "")


def _is_program(hit: Hit, _: datetime | None) -> bool:
    # Google's proxy fetches a picture when its reader opens the mail.
    return bool(PROGRAMS.search(hit.agent)) and "GoogleImageProxy" not in hit.agent


def _is_too_soon(hit: Hit, sent_at: datetime | None) -> bool:
    soonest = SOONEST_CLICK if hit.kind is Kind.CLICK else SOONEST_OPEN
    return sent_at is not None and hit.at - sent_at < soonest


ALONE: Sequence[tuple[Callable[[Hit, datetime | None], bool], str]] = (
    (lambda hit, _: hit.kind is Kind.TRAP, TRAPPED),
    (lambda hit, _: hit.method != "GET", "It did not ask for the page."),
    (lambda hit, _: hit.is_ahead, "It fetched ahead of being asked."),
    (_is_program, "It says that it is a program."),
    (lambda hit, _: not BROWSER.search(hit.agent), "It does not say that it is a browser."),
    (
        lambda hit, _: hit.kind is Kind.OPEN and _is_apples(hit),
        "A mail program fetches it for everybody.",
    ),
    (lambda hit, _: _is_in(hit.address, NETWORKS), "It comes from a security gateway."),
    (_is_too_soon, "It came sooner than anybody can read."),
)


def _is_apples(hit: Hit) -> bool:
    return bool(APPLE_AGENT.match(hit.agent)) or _is_in(hit.address, APPLE_NETWORKS)


def _judge_together(hits: Sequence[Hit]) -> Sequence[str]:
    """Look for whoever goes through the links one after the other."""
    reasons = [""] * len(hits)
    clicks = [(n, hit) for n, hit in enumerate(hits) if hit.kind is Kind.CLICK]
    for place, (_, first) in enumerate(clicks):
        burst = [(n, hit) for n, hit in clicks[place:] if hit.at - first.at <= BURST]
        if len({hit.link for _, hit in burst}) >= BURST_LINKS:
            for number, _ in burst:
                reasons[number] = TOO_MANY
    return reasons


def _is_same(hit: Hit, other: Hit) -> bool:
    """Tell whether two hits come from one machine: the same network, at about the same time."""
    if not hit.address or not other.address or abs(hit.at - other.at) > SAME:
        return False
    return _network_of(hit.address) == _network_of(other.address)


def _network_of(address: str) -> object:
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    return ip_network(f"{ip}/{24 if ip.version == 4 else 48}", strict=False)


def _is_in(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in networks)
