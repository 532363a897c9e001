"""`manage.py take_mail_report`: take a bounce or a complaint from the mail server."""

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand
from django.db import OperationalError
from django.utils import timezone

from campaigns.sending.bouncing import record_told
from campaigns.sending.mail_reports import NoReport, read_report

MOST_BYTES = 10 * 1024 * 1024


class Command(BaseCommand):
    """Take one mail from standard input, as a mail server pipes it.

    A mail that is no report is none of our business, so it is taken all the same: whoever pipes
    would else write back to whoever wrote. While the database is away, the mail server is told to
    come again.
    """

    help = "Take a bounce (RFC 3464) or a complaint (RFC 5965) from standard input."

    def handle(self, *args: Any, **options: Any) -> None:
        """Record what the mail tells, and say so."""
        try:
            told = read_report(sys.stdin.buffer.read(MOST_BYTES))
        except NoReport as error:
            self.stdout.write(f"Left out: {error}")
            return
        try:
            is_ours = record_told(told, now=timezone.now())
        except OperationalError as error:
            self.stderr.write(f"The database cannot be reached: {error}")
            sys.exit(os.EX_TEMPFAIL)
        what = "complaint" if told.is_complaint else "bounce"
        about = told.message_id if is_ours else "a mail that is none of ours; nothing was changed"
        self.stdout.write(f"Took a {what} of {about}.")
