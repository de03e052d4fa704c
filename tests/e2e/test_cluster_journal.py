"""Commands on a job whose journal is in PostgreSQL; its password is shown nowhere."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batch_runner.api.steps import load_manifest
from batch_runner.lifecycle import Event
from batch_runner.models import PlacedFile
from batch_runner.util.fs import file_sha256
from tests.e2e.conftest import KEY, write_manifest
from tests.harness.cluster_job import ClusterJob
from tests.harness.commands import PATIENCE, PROGRAM, bare_environment, run_command
from tests.harness.postgres import postgres
from tests.harness.stored_job import png_bytes

pytestmark = pytest.mark.slow

PASSWORD = "a-password-that-must-not-leak"
ORIGIN = "http://127.0.0.1:9"

READING = [
    ("status",),
    ("status", "--json"),
    ("plan",),
    ("report",),
    ("export", "--picks", "picks.txt", "--to", "chosen"),
    ("verify",),
    ("resolve",),
]
CHANGING = [
    ("retry", "--all"),
    ("resolve", "card-2", "drop"),
    ("redo", "card-0"),
]


def place_picture(folder: Path) -> PlacedFile:
    path = folder / "card-0.png"
    path.write_bytes(png_bytes())
    size, sha256 = path.stat().st_size, file_sha256(path)
    return PlacedFile(name=path.name, size=size, sha256=sha256, media_type="image/png")


class ClusterCommand:
    """The command line of one cluster job: one item is done, one failed, one held, one pending."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.dsn = f"{postgres().dsn} password={PASSWORD}"
        self.manifest = folder / "horse-cards.yaml"
        self.environment = bare_environment(
            HOME=str(folder / "home"),
            XDG_STATE_HOME=str(folder / "state"),
            BAICAI_BASE_URL=ORIGIN,
            BAICAI_API_KEY=KEY,
            BATCH_RUNNER_CLUSTER=self.dsn,
        )
        write_manifest(self.manifest, 4)
        specs = list(load_manifest(self.manifest).items())
        job = ClusterJob(self.out, origin=ORIGIN, dsn=self.dsn)
        with closing(job.journal):
            job.list(*specs)
            job.submitted(specs[0])
            job.record(specs[0], Event.TASK_COMPLETED)
            job.record(specs[0], Event.PLACED, files=(place_picture(self.out),))
            job.failed(specs[1])
            job.held(specs[2])
        (folder / "picks.txt").write_text("card-0\n")
        self.printed: list[str] = []

    def __call__(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        words = (name, str(self.manifest), *arguments, "--output", str(self.out))
        return self.run(*words)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        done = run_command(*words, environment=self.environment, folder=self.folder)
        self.printed += done.stdout, done.stderr
        return done

    def statuses(self) -> dict[str, str]:
        """Return the status of each item, by id."""
        lines = self("status", "--json").stdout.splitlines()
        return {row["id"]: row["status"] for row in map(json.loads, lines)}


@pytest.fixture
def command(tmp_path: Path) -> Iterator[ClusterCommand]:
    made = ClusterCommand(tmp_path)
    yield made
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    kept = [path.read_bytes() for path in files if path.name != "cluster"]
    assert all(PASSWORD not in text for text in made.printed)
    assert all(PASSWORD.encode() not in content for content in kept)


@pytest.mark.parametrize(
    ("words", "status", "printed"),
    list(
        zip(
            READING,
            (3, 3, 0, 0, 0, 1, 1),
            (
                "horse-cards: 4 items, 3 submissions",
                '"id": "card-0"',
                "1 submission, at least",
                "index.html",
                "1 file",
                "1 of 4 items valid",
                "1 item held",
            ),
            strict=True,
        )
    ),
)
def test_command_reads_a_cluster_job(
    command: ClusterCommand, words: tuple[str, ...], status: int, printed: str
) -> None:
    done = command(*words)

    assert (done.returncode, done.stderr) == (status, "")
    assert printed in done.stdout


def test_commands_change_a_cluster_job(command: ClusterCommand) -> None:
    done = [command(*words) for words in CHANGING]

    assert [one.returncode for one in done] == [0, 0, 0]
    assert done[2].stdout.endswith(" --cluster\n")  # the command that submits what `redo` adds
    assert command.statuses() == {
        "card-0": "done",
        "card-1": "pending",
        "card-2": "dropped",
        "card-3": "pending",
    }
    assert "1 new" in command("status").stderr  # what `redo` adds
    assert not (command.out / ".batch/journal.sqlite").exists()


def test_jobs_lists_a_cluster_job(command: ClusterCommand) -> None:
    command("retry", "--all")

    listed = command.run("jobs")
    del command.environment["BATCH_RUNNER_CLUSTER"]
    without = command.run("jobs")

    assert "horse-cards: 2 pending, 1 done, 1 held; 3 submissions" in listed.stdout
    assert "not readable: the journal of this job is in the database" in without.stdout
    assert (listed.returncode, without.returncode) == (0, 0)


@pytest.mark.parametrize("words", [*READING, *CHANGING])
def test_command_without_a_connection_string_says_what_to_set(
    command: ClusterCommand, words: tuple[str, ...]
) -> None:
    del command.environment["BATCH_RUNNER_CLUSTER"]

    done = command(*words)

    assert (done.returncode, done.stdout) == (2, "")
    assert "set BATCH_RUNNER_CLUSTER to its connection string" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_commands_without_the_database_say_so(command: ClusterCommand) -> None:
    command("retry", "--all")
    server = postgres()
    server.stop()
    try:
        done = [command(*words) for words in (*READING, *CHANGING)]
        jobs = command.run("jobs")
    finally:
        server.start()

    assert {(one.returncode, one.stdout) for one in done} == {(2, "")}
    assert all("the database of the cluster cannot be reached" in one.stderr for one in done)
    assert jobs.returncode == 0
    assert "not readable: the database of the cluster cannot be reached" in jobs.stdout
    assert command.statuses()["card-1"] == "pending"


def test_other_database_is_not_taken_for_the_journal(command: ClusterCommand) -> None:
    (command.out / ".batch/cluster.json").write_text('{"schema": "job_0"}')

    done = [command(*words) for words in (*READING, *CHANGING)]

    assert {(one.returncode, one.stdout) for one in done} == {(2, "")}
    assert all("the database has no job job_0; check that" in one.stderr for one in done)


def test_older_database_is_refused(command: ClusterCommand) -> None:
    marker = command.out / ".batch-job.json"
    marker.write_text(marker.read_text().replace('"events": "00', '"events": "90'))

    done = command("retry", "--all")

    assert done.returncode == 2
    assert "names is an older copy: its last event is" in done.stderr
    assert "restore the newest backup of the database" in done.stderr


@pytest.mark.parametrize("part", ["a@{}@localhost", "{}/b@localhost"])
def test_password_that_is_not_encoded_is_not_shown(command: ClusterCommand, part: str) -> None:
    dsn = f"postgresql://tests:{part.format(PASSWORD)}/postgres"
    command.environment["BATCH_RUNNER_CLUSTER"] = dsn

    done = command("status")

    assert done.returncode == 2
    assert "the connection string of the database is not valid" in done.stderr


def test_connection_string_is_read_from_a_file(command: ClusterCommand) -> None:
    del command.environment["BATCH_RUNNER_CLUSTER"]
    file = command.folder / "home/.config/batch-runner/cluster"
    file.parent.mkdir(parents=True)
    file.write_text(command.dsn + "\n")

    assert command("status").returncode == 3


def run_without_psycopg(
    folder: Path, environment: dict[str, str], *words: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run a command where `import psycopg` fails as if it were not installed."""
    package = folder / "python/psycopg"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("raise ModuleNotFoundError(name='psycopg')")
    environment = environment | {"PYTHONPATH": str(package.parent)}
    return subprocess.run(
        [*PROGRAM, *words],
        env=environment,
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize(
    "words",
    [
        ("status", "--output", "out"),
        ("cluster", "init"),
        ("cluster", "status"),
        ("cluster", "stop", "out"),
        ("cluster", "approve", "out"),
        ("worker",),
    ],
)
def test_command_without_the_extra_names_it(
    command: ClusterCommand, words: tuple[str, ...]
) -> None:
    done = run_without_psycopg(command.folder, command.environment, *words)

    assert done.returncode == 2
    assert "pip install 'batch-runner[cluster]'" in done.stderr


def test_connection_string_changes_nothing_for_other_jobs(tmp_path: Path) -> None:
    manifest = tmp_path / "cards.yaml"
    write_manifest(manifest, 2)
    environment = bare_environment(
        XDG_STATE_HOME=str(tmp_path / "state"),
        BATCH_RUNNER_CLUSTER="nonsense",
    )

    words = ("run", manifest, "--rehearse")
    done = [run_without_psycopg(tmp_path, environment, *words) for _ in range(2)]

    assert [one.returncode for one in done] == [0, 0]
