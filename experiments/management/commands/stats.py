"""Check a number: read two arms' numbers as JSON, print our estimates as JSON."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser

from experiments.analysing.recompute import recompute
from experiments.stats_check.answering import TooExtreme, answer
from experiments.stats_check.document import Unreadable, read_document


class Command(BaseCommand):
    """Compare what stands in a document, without a database."""

    help = (
        "Read comparisons as JSON from a file or standard input and print our estimates as JSON. "
        "README.md describes both under “Check a number”."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("file", type=Path, nargs="?", help="instead of standard input")
        parser.add_argument(
            "--stored",
            action="store_true",
            help="read an experiment's report as JSON, with its moments, and work every number of "
            "it out again",
        )
        parser.add_argument(
            "--indent", type=int, choices=range(9), metavar="0-8", help="print on many lines"
        )

        parser.add_argument(
            "--oracle",
            action="store_true",
            help="print beside each result what scipy and statsmodels say of the same numbers",
        )

    def handle(
        self,
        *,
        file: Path | None,
        indent: int | None,
        oracle: bool,
        stored: bool,
        **options: Any,
    ) -> None:
        """Print the answers."""
        try:
            raw = sys.stdin.buffer.read() if file is None else file.read_bytes()
        except OSError as error:
            source = file or "Standard input"
            raise CommandError(f"{source} cannot be read: {error.strerror}.") from error
        if stored:
            self.stdout.write(json.dumps(_again(raw), indent=indent, allow_nan=False))
            return
        try:
            document = read_document(raw)
            answers = answer(document)
        except (Unreadable, TooExtreme) as error:
            raise CommandError(str(error)) from error
        if oracle:
            # Loaded by name: whoever asks only us need not wait for statsmodels.
            said = import_module("experiments.stats_check.oracle").ask_oracles(document)
            for answered, others in zip(answers["comparisons"], said, strict=True):
                answered["oracle"] = others
        self.stdout.write(json.dumps(answers, indent=indent, allow_nan=False))


def _again(raw: bytes) -> dict[str, Any]:
    """Work the numbers of a report out again."""
    try:
        return recompute(json.loads(raw)["moments"])
    except (ValueError, KeyError, TypeError, msgspec.ValidationError) as error:
        raise CommandError(
            f"This is no report with its moments, as JSON: {error!r}. "
            "`GET /api/v1/experiments/KEY/results?moments` returns one."
        ) from error
