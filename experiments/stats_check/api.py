"""Compares numbers that a client sends, so that anyone can check ours by theirs."""

import asyncio
from collections.abc import Mapping

from audience.models import Scope
from audience.sources.keyring import Keyring, key_of
from experiments.stats_check.answering import TooExtreme, answer
from experiments.stats_check.document import Document, Unreadable, read_document
from wire.messages import Problem, Request, Response
from wire.messages import answer as respond
from wire.routes import Handler

# A thread of a web process works out the answer; longer documents go through `manage.py stats`.
MOST_COMPARISONS = 100
MOST_LOOKS = 200


class StatsApi:
    """Answers `POST /api/v1/stats/compare`; one document at a time, for it is all CPU."""

    def __init__(self, keyring: Keyring) -> None:
        """Know the sources by this keyring."""
        self._keyring = keyring
        self._turn = asyncio.Semaphore(1)

    def routes(self) -> Mapping[tuple[str, str], Handler]:
        """Name the paths that are answered here."""
        return {("POST", "/api/v1/stats/compare"): self.compare}

    async def compare(self, request: Request) -> Response:
        """Compare everything in the document that came.

        Raises:
            Problem: The key may not do this (401, 403), or the document cannot be read, is too
                long to be answered at once, or holds numbers without an answer (422).
        """
        await self._keyring.find(key_of(request), scope=Scope.READ)
        try:
            document = read_document(request.body)
            _check_length(document)
            async with self._turn:
                return respond(await asyncio.to_thread(answer, document))
        except (Unreadable, TooExtreme) as error:
            raise Problem(422, str(error)) from error


def _check_length(document: Document) -> None:
    looks = sum(
        len(comparison.sequential.fractions)
        for comparison in document.comparisons
        if comparison.sequential and comparison.sequential.fractions
    )
    if len(document.comparisons) > MOST_COMPARISONS or looks > MOST_LOOKS:
        raise Problem(
            422,
            f"Send at most {MOST_COMPARISONS} comparisons with {MOST_LOOKS} looks in all; "
            "`manage.py stats` takes more.",
        )
