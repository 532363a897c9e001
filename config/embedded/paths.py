"""Say where an embedded server's files and sockets are, from the data directory alone."""

import hashlib
import tempfile
from pathlib import Path
from urllib.parse import quote

USER = "offerlab"
DATABASE = "offerlab"
POSTGRES_PORT = 5432  # Only the name of the socket file: nothing listens on TCP.

# A Unix socket's path holds 107 bytes on Linux and 103 on macOS; some room is left.
LONGEST_SOCKET_PATH = 100


def lock_file(data_dir: Path) -> Path:
    """Return the file whose lock means that somebody runs this data directory."""
    return data_dir.absolute() / "lock"


def secret_key(data_dir: Path) -> Path:
    """Return the file of the key that signs log-ins."""
    return data_dir.absolute() / "secret_key"


def postgres_cluster(data_dir: Path) -> Path:
    """Return the directory of PostgreSQL's data files."""
    return data_dir.absolute() / "postgres"


def valkey_files(data_dir: Path) -> Path:
    """Return the directory of Valkey's append-only file."""
    return data_dir.absolute() / "valkey"


def server_log(data_dir: Path, *, server: str) -> Path:
    """Return the file that a server's own messages go to."""
    return data_dir.absolute() / "logs" / f"{server}.log"


def socket_directory(data_dir: Path) -> Path:
    """Return the directory of both servers' sockets: short, and always the same.

    It is `run` below the data directory, or a directory named after a hash in the system's
    temporary directory when the socket's path would be too long for the kernel.

    Raises:
        ValueError: Even the temporary directory's path is too long.
    """
    data_dir = data_dir.absolute()
    digest = hashlib.sha256(bytes(data_dir)).hexdigest()[:12]
    elsewhere = Path(tempfile.gettempdir()).absolute() / f"offerlab-{digest}"
    for candidate in (data_dir / "run", elsewhere):
        if len(bytes(candidate / _postgres_socket_name())) <= LONGEST_SOCKET_PATH:
            return candidate
    raise ValueError(f"{elsewhere} is too long for a Unix socket: set TMPDIR to a shorter path.")


def postgres_socket(data_dir: Path) -> Path:
    """Return PostgreSQL's socket."""
    return socket_directory(data_dir) / _postgres_socket_name()


def valkey_socket(data_dir: Path) -> Path:
    """Return Valkey's socket."""
    return socket_directory(data_dir) / "valkey.sock"


def database_url(data_dir: Path) -> str:
    """Return the address of the embedded PostgreSQL, whether or not it runs."""
    return f"postgresql://{USER}@/{DATABASE}?host={quote(str(socket_directory(data_dir)), safe='')}"


def redis_url(data_dir: Path) -> str:
    """Return the address of the embedded Valkey, whether or not it runs."""
    return f"unix://{quote(str(valkey_socket(data_dir)))}?db=0"


def _postgres_socket_name() -> str:
    return f".s.PGSQL.{POSTGRES_PORT}"
