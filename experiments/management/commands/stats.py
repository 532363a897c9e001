"""Check a number: read two arms' numbers as JSON, print our estimates as JSON."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from experiments.stats_check import TooExtreme, answer
from experiments.stats_document import Unreadable, read_document


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
            "--indent", type=int, choices=range(9), metavar="0-8", help="print on many lines"
        )

        parser.add_argument(
            "--oracle",
            action="store_true",
            help="print beside each result what scipy and statsmodels say of the same numbers",
        )

    def handle(
        self, *, file: Path | None, indent: int | None, oracle: bool, **options: Any
    ) -> None:
        """Print the answers."""
        try:
            raw = sys.stdin.buffer.read() if file is None else file.read_bytes()
            document = read_document(raw)
            answers = answer(document)
        except OSError as error:
            source = file or "Standard input"
            raise CommandError(f"{source} cannot be read: {error.strerror}.") from error
        except (Unreadable, TooExtreme) as error:
            raise CommandError(str(error)) from error
        if oracle:
            # Loaded by name: whoever asks only us need not wait for statsmodels.
            said = import_module("experiments.stats_oracle").ask_oracles(document)
            for answered, others in zip(answers["comparisons"], said, strict=True):
                answered["oracle"] = others
        self.stdout.write(json.dumps(answers, indent=indent, allow_nan=False))
