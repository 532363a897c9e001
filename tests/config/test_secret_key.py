"""A data directory keeps its secret key."""

from pathlib import Path

from config.embedded.secret_key import keep_secret_key


def test_key_is_made_once(tmp_path: Path) -> None:
    key = keep_secret_key(tmp_path)
    assert len(key) >= 50
    assert keep_secret_key(tmp_path) == key


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    keep_secret_key(tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.name == "secret_key"
    assert file.stat().st_mode & 0o777 == 0o600


def test_empty_file_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("\n")
    (tmp_path / "secret_key.new").write_text("half")
    assert len(keep_secret_key(tmp_path)) >= 50
