"""Reading the environment."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import environment


@pytest.mark.parametrize(
    ("text", "meaning"), [("yes", True), ("1", True), ("ON", True), ("no", False), ("0", False)]
)
def test_a_flag_is_read_in_the_usual_spellings(
    monkeypatch: pytest.MonkeyPatch, text: str, meaning: bool
) -> None:
    monkeypatch.setenv("SOME_FLAG", text)
    assert environment.flag("SOME_FLAG") is meaning


def test_a_flag_that_is_not_set_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_FLAG", raising=False)
    assert environment.flag("SOME_FLAG", default=True)
    assert not environment.flag("SOME_FLAG")


def test_a_flag_that_means_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_FLAG", "perhaps")
    with pytest.raises(ImproperlyConfigured, match="SOME_FLAG must be yes or no"):
        environment.flag("SOME_FLAG")


def test_a_secret_can_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    monkeypatch.setenv("SOME_SECRET_FILE", str(tmp_path / "secret"))
    assert environment.text("SOME_SECRET") == "s3cret"


def test_words_are_split_at_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_HOSTS", "a.example, b.example ,")
    assert environment.words("SOME_HOSTS") == ["a.example", "b.example"]


def test_a_database_url_with_escapes_and_options_is_taken_apart() -> None:
    settings = environment.database("postgresql://me:p%40ss@db.example:5433/shop?sslmode=require")
    assert settings == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "shop",
        "USER": "me",
        "PASSWORD": "p@ss",
        "HOST": "db.example",
        "PORT": "5433",
        "OPTIONS": {"sslmode": "require"},
    }


def test_a_database_url_can_name_a_socket_directory() -> None:
    settings = environment.database("postgresql://me@/shop?host=%2Ftmp%2Fsocket")
    assert (settings["HOST"], settings["PORT"]) == ("/tmp/socket", "")  # noqa: S108 - only a name


def test_a_database_of_another_kind_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="must start with postgresql"):
        environment.database("mysql://db.example/shop")


@pytest.mark.parametrize(
    ("redis_url", "broker"),
    [
        ("redis://cache.example:6379/2", "redis://cache.example:6379/2"),
        ("unix:///run/v.sock?db=3", "redis+socket:///run/v.sock?virtual_host=3"),
        ("unix:///run/v.sock", "redis+socket:///run/v.sock?virtual_host=0"),
    ],
)
def test_a_broker_is_written_the_way_celery_reads_it(redis_url: str, broker: str) -> None:
    assert environment.broker(redis_url) == broker


def test_a_database_url_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="cannot be read"):
        environment.database("postgresql://db.example/shop?nonsense=1")


@pytest.mark.parametrize(
    ("text", "meaning"), [("", 90), ("30", 30), (" 36500 ", 36_500), ("Forever", None)]
)
def test_days_are_a_number_or_forever(
    monkeypatch: pytest.MonkeyPatch, text: str, meaning: int | None
) -> None:
    monkeypatch.setenv("SOME_DAYS", text)
    assert environment.days("SOME_DAYS", default=90, least=30) == meaning


@pytest.mark.parametrize("text", ["29", "-1", "1.5", "soon", "٣٠", "36501", "9" * 5000])
def test_days_that_are_too_few_or_none_are_refused(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("SOME_DAYS", text)
    with pytest.raises(ImproperlyConfigured, match="SOME_DAYS must be a number of days from 30"):
        environment.days("SOME_DAYS", default=90, least=30)


def test_variables_of_one_beginning_are_read_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from a file\n")
    monkeypatch.setenv("SERVICE_REGION", "eu")
    monkeypatch.setenv("SERVICE_KEY_FILE", str(secret))
    assert environment.beginning_with("SERVICE_") == {"KEY": "from a file", "REGION": "eu"}
