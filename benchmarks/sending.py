"""Personalised mails a second to a mail server that keeps nothing, against a bare smtplib loop.

    python -m benchmarks.sending [COUNT] [WORKERS]

A campaign of 8 offers is sent to COUNT customers: each is claimed, asked for consent, decided for
and logged, written in their own words with links of their own, sent, and recorded. The floor sends
as many mails of the same bytes on one connection, and does nothing else. Database, mail server and
workers share this machine.

The bars: 1,000 mails a second, and at most 500 MB for all workers together.
"""

import resource
import smtplib
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg

from benchmarks.mailing import mail_sink, mailing, make_campaign
from benchmarks.serving import HOST, ROOT, services

FLOOR_SECONDS = 4.0
SAMPLE = """
from pathlib import Path
from django.utils import timezone
from campaigns.models import Campaign
from campaigns.sending.claiming import Claimed
from campaigns.sending.writing import Writer

campaign = Campaign.objects.select_related('placement', 'policy').get()
writer, now = Writer(campaign), timezone.now()
attributes = {'email': 'a@mail.example', 'first_name': 'Reader 1', 'points': 3, 'products': [
    {'name': 'Lamp'}, {'name': 'Chair'}]}
claimed = Claimed(1, 1, 1, 0, 0, None, '', '', now, 'c1', attributes, None, None)
offer = {'key': 'o1', 'headline': '10% off', 'link': 'https://shop.example/offers/1'}
Path(PATH).write_bytes(writer.write(campaign.steps.get(), claimed, offer, now=now).content)
"""


def measure_floor(port: int, content: bytes) -> float:
    """Return how many mails a second a bare loop sends."""
    count = 0
    with smtplib.SMTP(HOST, port) as smtp:
        begun = time.perf_counter()
        while time.perf_counter() - begun < FLOOR_SECONDS:
            smtp.sendmail("shop@shop.example", [f"r{count}@mail.example"], content)
            count += 1
        return count / (time.perf_counter() - begun)


def peak_mb(pid: int) -> float:
    """Return the most memory that a process had, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1000
    return 0.0


def send(environment: Mapping[str, str], workers: int) -> tuple[float, float]:
    """Let workers send everything; return when the last mail left, in seconds, and their memory."""
    words = [sys.executable, "manage.py", "send", "--until-done"]
    running = [
        subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        for _ in range(workers)
    ]
    memory = dict.fromkeys([process.pid for process in running], 0.0)
    while any(process.poll() is None for process in running):
        for process in running:
            if process.poll() is None:
                memory[process.pid] = max(memory[process.pid], peak_mb(process.pid))
        time.sleep(0.2)
    with psycopg.connect(environment["DATABASE_URL"]) as connection:
        row = connection.execute(
            "SELECT extract(epoch FROM max(sent_at) - min(sent_at)) FROM campaigns_delivery"
        ).fetchone()
    assert row is not None, "an aggregate has a row"
    return float(row[0]), sum(memory.values())


def main() -> int:
    """Measure both and compare."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with services() as plain, mail_sink() as port:
        environment = mailing(plain, port)
        make_campaign(environment, count)
        path = Path(plain["OFFERLAB_SPOOL_DIR"]).parent / "sample.eml"
        subprocess.run(
            [sys.executable, "manage.py", "shell", "-v", "0", "-c",
             SAMPLE.replace("PATH", repr(str(path)))],
            cwd=ROOT, env=environment, check=True,
        )  # fmt: skip
        content = path.read_bytes()
        floors = [measure_floor(port, content)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds, memory = send(environment, workers)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        floors.append(measure_floor(port, content))
        with psycopg.connect(environment["DATABASE_URL"]) as connection:
            states: dict[str, int] = dict(
                connection.execute(
                    "SELECT state, count(*) FROM campaigns_delivery GROUP BY state"
                ).fetchall()
            )
    rate, floor = states["sent"] / seconds, statistics.mean(floors)
    print(f"{states}, each mail {len(content):,} bytes, {workers} worker(s)")
    print(f"campaign: {rate:,.0f} mails/s; bare smtplib: {floor:,.0f} mails/s; {rate / floor:.2f}")
    # What a busy machine does not change: it takes time away, and not work.
    work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"memory of the workers: {memory:.0f} MB")
    print(
        f"work of the workers: {1000 * work / states['sent']:.2f} ms a mail, their start included"
    )
    return 0 if rate >= 1000 and memory <= 500 else 1


if __name__ == "__main__":
    sys.exit(main())
