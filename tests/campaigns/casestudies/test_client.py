"""The API client keeps its connection, tries again what may work, and gives up on what cannot."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from campaigns.casestudies.client import TRIES, ApiClient, Refused, SiteDown


class Site(ThreadingHTTPServer):
    """Answers with the statuses it is given, then with 200; status 0 hangs up."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses: list[int] = []
        self.received: list[object] = []
        self.callers: set[object] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Site

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.received.append(content)
        self.server.callers.add(self.client_address)
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status == 0:
            self.close_connection = True
            return
        body = json.dumps({"key": self.headers["Authorization"]}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        thread = Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        site.shutdown()
        thread.join()


@pytest.fixture
def client(site: Site) -> Iterator[ApiClient]:
    with ApiClient(site.url, key="ol_1", first_pause_seconds=0.001) as client:
        yield client


def test_key_is_sent_as_a_bearer_token(client: ApiClient) -> None:
    assert client.post("/x", {}) == {"key": "Bearer ol_1"}


def test_connection_is_kept(site: Site, client: ApiClient) -> None:
    client.post("/x", 1)
    client.post("/x", 2)
    assert site.received == [1, 2]
    assert len(site.callers) == 1


@pytest.mark.parametrize("status", [500, 503, 0])
def test_same_document_is_sent_again_while_the_site_is_unwell(
    site: Site, client: ApiClient, status: int
) -> None:
    site.statuses = [status, status]
    client.post("/x", {"messageId": "m"})
    assert site.received == [{"messageId": "m"}] * 3


def test_refusal_is_not_repeated(site: Site, client: ApiClient) -> None:
    site.statuses = [422]
    with pytest.raises(Refused, match="/x was refused: 422"):
        client.post("/x", {})
    assert len(site.received) == 1


def test_site_that_stays_unwell_is_given_up(site: Site, client: ApiClient) -> None:
    site.statuses = [500] * TRIES
    with pytest.raises(SiteDown, match=r"/x does not work \(500"):
        client.post("/x", {})


def test_site_that_is_not_there_is_given_up(site: Site) -> None:
    with (
        ApiClient("https://127.0.0.1:1", key="k", first_pause_seconds=0.001) as client,
        pytest.raises(SiteDown, match="refused"),
    ):
        client.post("/x", {})
