"""The site, and the key of whoever watches it."""

from collections.abc import Iterator

import pytest

from audience.models import Kind, Scope
from audience.sources.keys import create_source
from tests.asgi import Site, open_site


@pytest.fixture
def site(transactional_db: None) -> Iterator[Site]:
    with open_site() as site:
        yield site


@pytest.fixture
def admin_key(transactional_db: None) -> str:
    return create_source("prometheus", kind=Kind.ADMIN, scopes=[Scope.METRICS])[1]
