"""A mail server that takes everything and keeps nothing, or only the names of what it took.

    python -m benchmarks.mail_sink PORT [FILE]

Without a file it answers as fast as one process can, so that what is measured is who sends. With
one it is aiosmtpd's, which reads what comes as the standards say.
"""

import asyncio
import re
import sys
from pathlib import Path
from typing import IO

from aiosmtpd.smtp import SMTP, Envelope, Session

MESSAGE_ID = re.compile(rb"^message-id: *(\S+)", re.IGNORECASE | re.MULTILINE)
END = b"\r\n.\r\n"


class NullSmtp(asyncio.Protocol):
    """One connection: says yes to every line, and looks for the end of every mail."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.in_content = False
        self.seen = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while self._take_content() if self.in_content else self._take_line():
            pass

    def _take_content(self) -> bool:
        end = self.buffer.find(END, max(0, self.seen - len(END)))
        if end < 0:
            self.seen = len(self.buffer)
            return False
        del self.buffer[: end + len(END)]
        self.in_content, self.seen = False, 0
        self.transport.write(b"250 taken\r\n")
        return True

    def _take_line(self) -> bool:
        end = self.buffer.find(b"\r\n")
        if end < 0:
            return False
        verb = bytes(self.buffer[:4]).upper()
        del self.buffer[: end + 2]
        if verb == b"DATA":
            self.in_content = True
            self.transport.write(b"354 go on\r\n")
        elif verb == b"QUIT":
            self.transport.write(b"221 bye\r\n")
            self.transport.close()
        elif verb == b"EHLO":
            self.transport.write(b"250-sink\r\n250 8BITMIME\r\n")
        else:
            self.transport.write(b"250 ok\r\n")
        return True


class Log:
    """Writes down what came, before it is said that it was taken."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a mail."""
        content = envelope.content
        found = MESSAGE_ID.search(content if isinstance(content, bytes) else b"")
        self.file.write((found[1] if found else b"?") + b"\n")
        self.file.flush()
        return "250 taken"


async def serve(port: int, path: Path | None) -> None:
    """Take mails until killed."""
    loop = asyncio.get_running_loop()
    file = None if path is None else await asyncio.to_thread(path.open, "ab")

    def make() -> asyncio.Protocol:
        return NullSmtp() if file is None else SMTP(Log(file), hostname="sink", loop=loop)

    server = await loop.create_server(make, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None))
