"""The shape of the code, where no other tool checks it."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("audience", "campaigns", "config", "experiments", "recommender", "wire")
MODULES = [
    path
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts
]
MOST_LINES = 400
NAMELESS = {"utils", "helpers", "common", "misc", "core", "managers", "constants"}


def names(paths: Iterable[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def test_there_are_modules_to_look_at() -> None:
    assert {Path(name).parts[0] for name in names(MODULES)} == set(PACKAGES)


def test_modules_are_short() -> None:
    assert names(p for p in MODULES if len(p.read_text().splitlines()) > MOST_LINES) == []


def test_modules_are_named_for_their_jobs() -> None:
    assert names(path for path in MODULES if path.stem in NAMELESS) == []


def test_a_module_says_its_job_in_its_first_line() -> None:
    written = {path: path.read_text() for path in MODULES}
    silent = (p for p, source in written.items() if source and not says_its_job(source))
    assert names(silent) == []


def says_its_job(source: str) -> bool:
    return bool(ast.get_docstring(ast.parse(source)))


def test_files_that_are_spoken_of_are_there() -> None:
    # Decisions of before (docs/adr) speak of how it was then.
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    tests, benchmarks = (ROOT / "tests").rglob("*.py"), (ROOT / "benchmarks").rglob("*.py")
    present = ["/" + name for name in names([*MODULES, *tests, *benchmarks])]
    missing = {
        (names([path])[0], file)
        for path in [*documents, *MODULES]
        for file in spoken_of(path.read_text())
        if not any(name.endswith("/" + file) for name in present)
    }
    assert missing == set()


def spoken_of(text: str) -> set[str]:
    """Find files of Python, and modules that are to be run, in prose and comments."""
    run = {name.replace(".", "/") for name in re.findall(r"python -m (benchmarks\.[a-z_.]+)", text)}
    packages = {name for name in run if (ROOT / name / "__main__.py").exists()}
    return {
        *re.findall(r"`([\w/]+\.py)`", text),
        *re.findall(r"(tests/[\w/]+\.py)", text),
        *(f"{name}.py" for name in run - packages),
    }


def test_the_web_process_loads_neither_torch_nor_statsmodels() -> None:
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, config.asgi, config.urls;"
            "from django.urls import get_resolver; get_resolver().url_patterns;"
            "print([m for m in ('torch', 'statsmodels', 'pandas') if m in sys.modules])",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert loaded.stdout.strip() == "[]"


def test_settings_and_imports_start_nothing() -> None:
    started = subprocess.run(
        [
            sys.executable,
            "-c",
            "import subprocess, os;"
            "subprocess.Popen = os.fork = None;"
            "import config.asgi, config.celery, config.settings;"
            "print('nothing')",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert started.stdout.strip() == "nothing"


def test_no_module_reads_the_environment_but_the_settings() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for path in MODULES
        if "os.environ" in path.read_text() or "os.getenv" in path.read_text()
    }
    # The entry points name the settings module; the supervisor hands its environment on.
    assert readers == {
        "config/asgi.py",
        "config/celery.py",
        "config/embedded/postgres.py",
        "config/embedded/processes.py",
        "config/embedded/site.py",
        "config/environment.py",
    }
