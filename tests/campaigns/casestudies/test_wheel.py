"""A wheel is taken from the index whole, or not at all."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from campaigns.casestudies.wheel import NotFetched, Wheel, fetch_wheel

FILE = "toy-1.0-py3-none-any.whl"
RECORDS = {
    "toy/data.csv": "a,b\n1,2\n",
    "toy-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n",
    "toy-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "toy-1.0.dist-info/RECORD": "",
}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index in a directory, and no other."""
    directory = tmp_path / "index"
    directory.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


def publish(index: Path) -> Wheel:
    with zipfile.ZipFile(index / FILE, "w") as archive:
        for name, content in RECORDS.items():
            archive.writestr(name, content)
    return Wheel("toy==1.0", FILE, hashlib.sha256((index / FILE).read_bytes()).hexdigest())


def test_wheel_is_fetched_once(index: Path, tmp_path: Path) -> None:
    wheel = publish(index)
    path = fetch_wheel(wheel, directory=tmp_path / "downloads")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == wheel.sha256
    (index / FILE).unlink()
    assert fetch_wheel(wheel, directory=tmp_path / "downloads") == path
    assert [p.name for p in path.parent.iterdir()] == [FILE]


def test_other_file_of_the_same_name_is_refused(index: Path, tmp_path: Path) -> None:
    wheel = publish(index)
    other = Wheel(wheel.requirement, wheel.file, "0" * 64)
    with pytest.raises(NotFetched, match="is not the file that it should be"):
        fetch_wheel(other, directory=tmp_path / "downloads")
    assert list((tmp_path / "downloads").iterdir()) == []


def test_half_a_file_is_fetched_again(index: Path, tmp_path: Path) -> None:
    wheel = publish(index)
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / FILE).write_bytes(b"PK half")
    path = fetch_wheel(wheel, directory=tmp_path / "downloads")
    assert zipfile.is_zipfile(path)


def test_index_without_it_is_an_error_in_one_line(index: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFetched) as caught:
        fetch_wheel(Wheel("toy==1.0", FILE, ""), directory=tmp_path)
    assert "toy==1.0" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_index_with_another_file_is_an_error(index: Path, tmp_path: Path) -> None:
    publish(index)
    with pytest.raises(NotFetched, match=r"no toy-1\.0-cp311"):
        fetch_wheel(Wheel("toy==1.0", "toy-1.0-cp311.whl", ""), directory=tmp_path)
