"""A file of Hillstrom's columns: what it becomes, and what is refused."""

import csv
import gzip
import io
from pathlib import Path
from threading import Event

import pytest
from django.core.management import CommandError, call_command

from audience import models as audience
from campaigns.casestudies.hillstrom import import_hillstrom, read_rows
from campaigns.models import Campaign, Status
from campaigns.tasks import evaluate_due
from experiments.tasks import analyse_due
from recommender.models import Decision, Reward
from recommender.tasks import learn_due
from tests.racing import other_sessions

ROW = {
    "recency": "6",
    "history_segment": "3) $200 - $350",
    "history": "329.08",
    "mens": "1",
    "womens": "0",
    "zip_code": "Surburban",
    "newbie": "0",
    "channel": "Web",
    "segment": "No E-Mail",
    "visit": "0",
    "conversion": "0",
    "spend": "0",
}
# The header and one customer.
SHEET = "\n".join([",".join(ROW), ",".join(ROW.values()), ""]).encode()


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
    return path


def small_file(directory: Path) -> Path:
    """Sixty customers of whom every third visits and every sixth orders for ten dollars."""
    groups = ["No E-Mail", "Mens E-Mail", "Womens E-Mail"]
    rows = [
        ROW
        | {
            "recency": str(1 + n % 12),
            "history": f"{30 + 7 * n}",
            "mens": str(n % 2),
            "womens": str(1 - n % 2),
            "newbie": str(n % 5 // 4),
            "zip_code": ["Urban", "Rural"][n % 2],
            "channel": ["Web", "Phone"][n // 2 % 2],
            "segment": groups[n % 3],
            "visit": str(int(n // 3 % 3 == 0)),
            "conversion": str(int(n // 3 % 6 == 0)),
            "spend": "10.0" if n // 3 % 6 == 0 else "0",
        }
        for n in range(60)
    ]
    return write(directory / "small.csv.gz", rows)


@pytest.mark.django_db
def test_a_file_becomes_a_finished_campaign_with_everything_in_it(tmp_path: Path) -> None:
    seen: list[int] = []
    campaign = import_hillstrom(read_rows(small_file(tmp_path)), progress=seen.append)
    assert campaign.status == Status.FINISHED
    assert sum(seen) == 60
    assert (
        audience.Customer.objects.count()
        == Decision.objects.count()
        == Reward.objects.count()
        == 60
    )
    assert audience.Event.objects.filter(name="Site Visited").count() == 21
    assert audience.Event.objects.filter(name="Order Completed", value=10.0).count() == 12
    actions = [change.action for change in campaign.experiment.changes.order_by("id")]
    assert actions == ["started", "campaign started", "campaign finished", "stopped"]


@pytest.mark.django_db
def test_an_import_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def stumble(count: int) -> None:
        raise RuntimeError("stumbled")

    with pytest.raises(RuntimeError, match="stumbled"):
        import_hillstrom(read_rows(small_file(tmp_path)), progress=stumble)
    assert not Campaign.objects.exists()
    assert not audience.Customer.objects.exists()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([ROW, ROW | {"segment": "Kids E-Mail"}], "Line 3: the group 'Kids E-Mail' is not known."),
        ([ROW | {"spend": "a lot"}], "Line 2: could not convert string to float: 'a lot'."),
        ([ROW | {"history": "nan"}], "Line 2: 'nan' is no finite number."),
        ([{k: v for k, v in ROW.items() if k != "visit"}], "The file has no column 'visit'."),
    ],
)
def test_rows_that_mean_nothing_are_refused(
    tmp_path: Path, rows: list[dict[str, str]], says: str
) -> None:
    with pytest.raises(ValueError, match="^" + says.replace(".", r"\.") + "$"):
        read_rows(write(tmp_path / "bad.csv.gz", rows))


def test_a_short_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.csv.gz"
    path.write_bytes(gzip.compress((",".join(ROW) + "\n6,x,329\n").encode(), mtime=0))
    with pytest.raises(ValueError, match=r"^Line 2: "):
        read_rows(path)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"recency,history\n", "Not a gzipped file"),
        (gzip.compress(SHEET + SHEET.splitlines()[1] * 1000, mtime=0)[:-20], "The file is damaged"),
        (gzip.compress(b"", mtime=0), "The file is empty"),
        (gzip.compress(SHEET.splitlines()[0], mtime=0), "The file is empty"),
    ],
    ids=["not gzip", "cut off", "empty", "header alone"],
)
def test_the_command_says_what_is_wrong_with_a_file(
    tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "bad.csv.gz"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=says):
        call_command("hillstrom", str(path))


@pytest.mark.django_db
def test_the_command_says_that_a_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        call_command("hillstrom", str(tmp_path / "missing.csv.gz"))


@pytest.mark.django_db(transaction=True)
def test_the_command_runs_the_whole_job_and_a_second_time_only_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = small_file(tmp_path)
    is_over = Event()

    def work() -> None:
        while not is_over.wait(0.1):
            learn_due()
            analyse_due()
            evaluate_due()

    with other_sessions(1) as run:
        worker = run(work)
        try:
            call_command("hillstrom", str(path))
            call_command("hillstrom", str(tmp_path / "not needed any more"))
        finally:
            is_over.set()
        worker.result(timeout=20)
    said = capsys.readouterr().out
    assert said.count("Nothing to read yet. Too few customers have converted") == 2
    assert said.count("Policies, judged on ") == 2
