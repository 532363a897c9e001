"""A mail server, and tests that commit."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.campaigns.mailed import Sink, mail_server, use_mail_server


@pytest.fixture(scope="session")
def server() -> Iterator[Sink]:
    with mail_server() as sink:
        yield sink


@pytest.fixture
def sink(server: Sink, settings: Any) -> Sink:
    """A mail server that has nothing yet, and gets what is sent."""
    server.mails.clear()
    server.times.clear()
    server.answer, server.seconds = lambda receiver, content: None, 0.0
    use_mail_server(settings, server.port)
    return server
