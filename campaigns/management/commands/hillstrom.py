"""Run the main job on Hillstrom's experiment: import, analyse, learn, judge."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from campaigns.casestudies import hillstrom
from campaigns.models import Campaign
from campaigns.results.outcome import say_outcome
from campaigns.waiting import NoWorker, wait_for_learning, wait_for_report


class Command(BaseCommand):
    """Bring the file in once, let the workers learn, and print the report."""

    help = (
        "Import Hillstrom's e-mail experiment (hillstrom.csv.gz), learn a policy on half of the "
        "customers through the worker, and judge it on the other half. Needs a running worker."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("file", type=Path)

    def handle(self, *, file: Path, **options: Any) -> None:
        """Run the job; what was done before is not done again."""
        campaign = Campaign.objects.filter(key=hillstrom.KEY).first() or self._import(file)
        try:
            with tqdm(total=hillstrom.CUSTOMERS, desc="learning", unit="rewards") as bar:
                wait_for_learning(campaign, progress=bar.update)
            wait_for_report(campaign)
        except NoWorker as error:
            raise CommandError(str(error)) from error
        for line in say_outcome(campaign):
            self.stdout.write(line)

    def _import(self, file: Path) -> Campaign:
        try:
            rows = hillstrom.read_rows(file)
        except (OSError, ValueError) as error:
            raise CommandError(f"{file}: {error}") from error
        with tqdm(total=len(rows), desc="importing", unit="customers") as bar:
            return hillstrom.import_hillstrom(rows, progress=bar.update)
