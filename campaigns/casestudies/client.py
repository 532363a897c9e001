"""Talk to a site's API as an application does: connections are kept, and failures tried again."""

import threading
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

TRIES = 7
FIRST_PAUSE_SECONDS = 0.1  # doubled each time: six seconds in all
TIMEOUT_SECONDS = 30.0


class SiteDown(RuntimeError):
    """The site does not answer, or only with errors of its own."""


class Refused(RuntimeError):
    """The site refused a request; the same request would be refused again."""


class ApiClient:
    """Posts JSON with a source's key, from any number of threads, each on its own connection."""

    def __init__(
        self, site_url: str, *, key: str, first_pause_seconds: float = FIRST_PAUSE_SECONDS
    ) -> None:
        """Talk to the site at this address; it is called at the first request."""
        parts = urlsplit(site_url)
        self._connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._host = parts.netloc
        self._site_url = site_url
        self._first_pause_seconds = first_pause_seconds
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._own = threading.local()
        self._connections: list[HTTPConnection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Hang up."""
        for connection in self._connections:
            connection.close()

    def post(self, path: str, document: object) -> Any:
        """Send a document, again and again while the site is unwell, and return the answer.

        The site may have taken the document before the connection broke, so give messages ids.

        Raises:
            SiteDown: It stays unwell for some seconds.
            Refused: The request itself is wrong.
        """
        body = msgspec.json.encode(document)
        problem = ""
        for attempt in range(TRIES):
            if attempt:
                time.sleep(self._first_pause_seconds * 2 ** (attempt - 1))
            try:
                status, answer = self._send(path, body)
            except (OSError, HTTPException) as error:
                problem = str(error) or type(error).__name__
                continue
            if status < 400:
                return msgspec.json.decode(answer)
            problem = f"{status}: {answer[:500].decode(errors='replace')}"
            if status < 500:
                raise Refused(f"{path} was refused: {problem}")
        raise SiteDown(
            f"{self._site_url}{path} does not work ({problem}); `make demo` runs a site."
        )

    def _send(self, path: str, body: bytes) -> tuple[int, bytes]:
        connection: HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._connect(self._host, timeout=TIMEOUT_SECONDS)
            self._own.connection = connection
            self._connections.append(connection)
        try:
            connection.request("POST", path, body, self._headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException):
            # It connects anew at the next request.
            connection.close()
            raise
