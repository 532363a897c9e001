"""Sends one request over and over at a steady rate, and prints how long the answers took.

An answer's time counts from when its request should have been sent, not from when there was a
connection free for it: a server that stalls is not let off the requests that it kept waiting.
"""

import asyncio
import json
import secrets
import sys
import time
from urllib.parse import urlsplit

CONNECTIONS = 64


class Pacer:
    """Keeps connections, and sends on them."""

    def __init__(self, host: str, port: int, request: str) -> None:
        """Send this request there; `NUMBER` in it is another each time."""
        self.address = host, port
        self.request = request
        self.free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.Queue()
        )
        self.times: list[float] = []
        self.refused = 0

    async def run(self, rate: float, seconds: float) -> None:
        """Send at this rate for so long."""
        for _ in range(CONNECTIONS):
            self.free.put_nowait(await asyncio.open_connection(*self.address))
        begun = time.perf_counter()
        sending = set()
        for number in range(int(rate * seconds)):
            due = begun + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            task = asyncio.create_task(self.send(number, due))
            sending.add(task)
            task.add_done_callback(sending.discard)
        await asyncio.gather(*sending)
        while not self.free.empty():
            self.free.get_nowait()[1].close()

    async def send(self, number: int, due: float) -> None:
        """Send one request, and note when its answer came."""
        reader, writer = await self.free.get()
        # As long as what it replaces, so that the length of a body stays right; and another one in
        # each run.
        name = secrets.token_urlsafe(6)[: len("NUMBER")]
        writer.write(self.request.replace("NUMBER", name).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        self.times.append(time.perf_counter() - due)
        self.refused += not head.startswith(b"http/1.1 200")
        self.free.put_nowait((reader, writer))


def main(url: str, rate: float, seconds: float) -> None:
    """Read the request from standard input, send it, print what came out as JSON."""
    asked = json.load(sys.stdin)
    parts = urlsplit(url)
    headers = {**asked["headers"], "Host": parts.netloc, "Content-Length": len(asked["body"])}
    lines = [f"POST {asked['path']} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    pacer = Pacer(parts.hostname or "", parts.port or 80, "\r\n".join([*lines, "", asked["body"]]))
    begun = time.perf_counter()
    asyncio.run(pacer.run(rate, seconds))
    times = sorted(pacer.times)
    print(
        json.dumps(
            {
                "requests_per_second": len(times) / (time.perf_counter() - begun),
                "p50_ms": 1000 * times[len(times) // 2],
                "p99_ms": 1000 * times[int(len(times) * 0.99)],
                "refused": pacer.refused,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
