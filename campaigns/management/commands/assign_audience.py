"""Decide for a campaign's whole audience, and write who was assigned what."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from campaigns.assigning.asking import ask_for_assignment
from campaigns.assigning.deciding import Assigner
from campaigns.assigning.files import find_rows, write_csv, write_parquet
from campaigns.models import Assignment, Campaign


class Command(BaseCommand):
    """Ask for an assignment, or go on with the one that is there, until it is done."""

    help = (
        "Decide for a campaign's whole audience now, and write it as CSV or Parquet. Killed, it "
        "goes on where it was; workers that run beside it help."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the campaign's key, and what is written where."""
        parser.add_argument("key", help="The campaign's key.")
        parser.add_argument("--out", type=Path, help="A file that ends in .csv or .parquet.")
        parser.add_argument(
            "--attribute",
            action="append",
            default=[],
            metavar="NAME",
            help="Write this attribute of customers too; can be given again.",
        )
        parser.add_argument(
            "--everybody", action="store_true", help="Write those who get no offer as well."
        )
        parser.add_argument(
            "--last", action="store_true", help="Decide nothing, write the last assignment again."
        )

    def handle(
        self,
        *args: Any,
        key: str,
        out: Path | None,
        attribute: list[str],
        everybody: bool,
        last: bool,
        **options: Any,
    ) -> None:
        """Assign and write."""
        if out is not None and out.suffix not in (".csv", ".parquet"):
            raise CommandError("The file's name must end in .csv or .parquet.")
        campaign = Campaign.objects.filter(key=key).select_related("policy").first()
        if campaign is None:
            raise CommandError(f"No campaign has the key {key!r}.")
        assignment = self._find(campaign, last=last)
        if not last:
            self._work_on(assignment)
        if out is not None:
            rows = find_rows(assignment, attributes=attribute, with_nobodys=everybody)
            try:
                _write(rows, out, attribute)
            except (OSError, ValueError) as error:
                raise CommandError(str(error)) from error
            self.stdout.write(f"Written to {out}.")

    def _find(self, campaign: Campaign, *, last: bool) -> Assignment:
        found = Assignment.objects.filter(campaign=campaign).order_by("-asked_at")
        assignment = (found if last else found.filter(finished_at=None)).first()
        if assignment is not None:
            assignment.campaign = campaign
            return assignment
        if last:
            raise CommandError("Its audience was never decided for.")
        try:
            return ask_for_assignment(campaign, by=None, now=timezone.now())
        except ValidationError as error:
            raise CommandError(error.messages[0]) from error

    def _work_on(self, assignment: Assignment) -> None:
        with Assigner(device=settings.LEARNING_DEVICE) as assigner:
            while assigner.assign_some(assignment) is not None:
                assignment.refresh_from_db(fields=["done"])
                self.stdout.write(f"{assignment.done:,} of {assignment.total:,}")
        assignment.refresh_from_db()
        if assignment.finished_at is None:
            why = assignment.problem or "Somebody else is at it."
            raise CommandError(f"It is not finished. {why}")


def _write(rows: Any, out: Path, attributes: list[str]) -> None:
    if out.suffix == ".parquet":
        write_parquet(rows, out, attributes=attributes)
        return
    with out.open("w", newline="", encoding="utf-8") as file:
        file.writelines(write_csv(rows, attributes=attributes))
