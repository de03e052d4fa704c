"""`cluster init`: what it makes, when it refuses, and which rights it needs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from batch_runner.cli.pages import read_page
from batch_runner.cluster.schema import check_cluster
from batch_runner.errors import UsageError
from batch_runner.journal.postgres.journal import PostgresJournal
from batch_runner.journal.postgres.reader import open_reader
from batch_runner.ratelimit.postgres import open_postgres_rate
from batch_runner.units import parse_rate
from tests.harness import some_items
from tests.harness.commands import PATIENCE, bare_environment, run_command, start_command
from tests.harness.postgres import PostgresServer, new_schema, postgres

pytestmark = pytest.mark.slow

PASSWORD = "a-password-that-must-not-leak"


class Cluster:
    """A database of its own, and the command line of one who uses it."""

    def __init__(self, folder: Path) -> None:
        self.server: PostgresServer = postgres()
        self.database = self.server.create_database()
        self.dsn = self.server.dsn_of(self.database, password=PASSWORD)
        self.environment = bare_environment(HOME=str(folder), BATCH_RUNNER_CLUSTER=self.dsn)

    def init(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = self.environment | variables
        done = run_command("cluster", "init", *words, environment=environment)
        assert PASSWORD not in done.stdout + done.stderr
        return done

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


@pytest.fixture
def role(cluster: Cluster) -> Iterator[str]:
    """Return a role that may do nothing yet."""
    name = cluster.database.replace("database", "role")
    cluster.execute(f"CREATE ROLE {name} LOGIN")
    yield name
    cluster.execute(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_init_makes_the_tables_once(cluster: Cluster) -> None:
    first, second = cluster.init(), cluster.init()

    assert (first.returncode, first.stderr) == (0, "")
    lines = first.stdout.splitlines()
    assert lines[0] == "the database is set up: its schema batch_runner is new"
    assert lines[1].startswith(f"PostgreSQL {cluster.server.get('server_version')}; ")
    assert lines[1].endswith("of 100 connections in use")
    assert lines[2].startswith("its clock is 0.0")
    assert second.stdout.startswith("the database is set up: nothing had to be changed")


def test_init_on_several_hosts_at_once_makes_the_tables_once(cluster: Cluster) -> None:
    words = ("cluster", "init")
    started = [start_command(*words, environment=cluster.environment) for _ in range(4)]
    printed = [process.communicate(timeout=PATIENCE) for process in started]

    assert [process.returncode for process in started] == [0, 0, 0, 0]
    assert sum("is new" in out for out, _ in printed) == 1
    assert sum("nothing had to be changed" in out for out, _ in printed) == 3


def test_init_keeps_what_is_there(cluster: Cluster) -> None:
    cluster.init()
    cluster.execute(
        "INSERT INTO batch_runner.jobs VALUES ('s', 'i', 'n', 'f', 'o', 'p', 'a', 0, 1, true)",
        "INSERT INTO batch_runner.rates (name, next_slot) VALUES ('r', 7)",
        "UPDATE batch_runner.version SET version = 0",
    )

    done = cluster.init()

    assert done.stdout.startswith("the database is set up: its schema batch_runner was migrated")
    with psycopg.connect(cluster.dsn) as connection:
        jobs = connection.execute("SELECT schema FROM batch_runner.jobs").fetchall()
        rates = connection.execute("SELECT next_slot FROM batch_runner.rates").fetchall()
    assert (jobs, rates) == ([("s",)], [(7.0,)])


def test_init_refuses_the_database_of_a_newer_program(cluster: Cluster) -> None:
    cluster.init()
    cluster.execute("UPDATE batch_runner.version SET version = 99")

    done = cluster.init()

    assert (done.returncode, done.stdout) == (2, "")
    assert "has version 99, which a newer program has made" in done.stderr


def test_init_refuses_a_database_that_may_forget_commits(cluster: Cluster) -> None:
    cluster.server.set("fsync", "off")
    try:
        done = cluster.init()
    finally:
        cluster.server.set("fsync", "on")

    assert (done.returncode, done.stdout) == (2, "")
    assert "fsync = off" in done.stderr


def test_init_refuses_an_encoding_that_cannot_store_prompts(cluster: Cluster) -> None:
    database = cluster.server.create_database("ENCODING 'SQL_ASCII' LOCALE 'C'")

    done = cluster.init(BATCH_RUNNER_CLUSTER=cluster.server.dsn_of(database))

    assert done.returncode == 2
    assert "the encoding SQL_ASCII" in done.stderr


def test_init_without_the_database_says_so(cluster: Cluster) -> None:
    dsn = f"host=/nowhere-at-all password={PASSWORD}"
    done = cluster.init(BATCH_RUNNER_CLUSTER=dsn)

    assert (done.returncode, done.stdout) == (2, "")
    assert "the database of the cluster cannot be reached" in done.stderr


def test_init_without_a_connection_string_says_what_to_set(cluster: Cluster) -> None:
    done = cluster.init(BATCH_RUNNER_CLUSTER="")

    assert (done.returncode, done.stdout) == (2, "")
    assert "no cluster: set BATCH_RUNNER_CLUSTER to the connection string" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("init", f"postgresql://me:{PASSWORD}@db/cluster"),
        (f"postgresql://me:{PASSWORD}@db/cluster", "init"),
        (f"password={PASSWORD}",),
        ("init", f"--password={PASSWORD}"),
        ("init", "--dsn", PASSWORD),
    ],
)
def test_connection_string_as_argument_is_refused_unseen(
    cluster: Cluster, words: tuple[str, ...]
) -> None:
    done = run_command("cluster", *words, environment=cluster.environment)

    assert (done.returncode, done.stdout) == (2, "")
    assert PASSWORD not in done.stderr


def test_file_that_others_may_read_gets_a_warning(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "cluster"
    file.write_text(cluster.dsn)
    file.chmod(0o644)

    done = cluster.init(BATCH_RUNNER_CLUSTER="", BATCH_RUNNER_CLUSTER_FILE=str(file))
    file.chmod(0o600)
    again = cluster.init(BATCH_RUNNER_CLUSTER="", BATCH_RUNNER_CLUSTER_FILE=str(file))

    assert (done.returncode, again.returncode, again.stderr) == (0, 0, "")
    assert f"chmod 600 {file}" in done.stderr


def test_role_without_rights_is_told_so(cluster: Cluster, role: str) -> None:
    cluster.execute(f"GRANT CONNECT ON DATABASE {cluster.database} TO {role}")

    done = cluster.init(BATCH_RUNNER_CLUSTER=cluster.server.dsn_of(cluster.database, user=role))

    assert (done.returncode, done.stdout) == (2, "")
    assert f"permission denied for database {cluster.database}" in done.stderr


def use_cluster(dsn: str) -> None:
    """Do once what hosts of a cluster do with its database."""
    schema = new_schema()
    with closing(
        PostgresJournal.create(dsn, schema, job="j", provider="baicai", origin="o")
    ) as journal:
        journal.import_items(some_items(3))
        journal.recover()
    with open_reader(dsn, schema) as reader:
        assert len(list(reader.items())) == 3
        assert len(list(reader.diff().differences(some_items(4)))) == 4
    with open_postgres_rate(dsn, f"rate-{schema}", parse_rate("5/s")):
        pass
    with psycopg.connect(dsn, autocommit=True) as connection:
        check_cluster(connection)
        connection.execute(
            "INSERT INTO batch_runner.jobs VALUES (%s, %s, 'n', 'f', 'o', 'p', 'a', 0, 1, true)",
            (schema, schema),
        )
        connection.execute("UPDATE batch_runner.jobs SET active = false")
        connection.execute("DELETE FROM batch_runner.jobs WHERE schema = %s", (schema,))


#: As the page many-hosts has them.
OWN_RIGHTS = "GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {database} TO {role}"
SHARED_RIGHTS = (
    "GRANT USAGE ON SCHEMA batch_runner TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA batch_runner TO {role}",
)


def test_page_has_the_rights() -> None:
    page = read_page("many-hosts")

    for statement in (OWN_RIGHTS, *SHARED_RIGHTS):
        assert statement.format(database="cluster", role="anna") in page


def test_documented_rights_are_enough_for_one_role(cluster: Cluster, role: str) -> None:
    cluster.execute(OWN_RIGHTS.format(database=cluster.database, role=role))
    dsn = cluster.server.dsn_of(cluster.database, user=role)

    done = cluster.init(BATCH_RUNNER_CLUSTER=dsn)

    assert (done.returncode, done.stderr) == (0, "")
    use_cluster(dsn)


def test_documented_rights_are_enough_for_a_second_role(cluster: Cluster, role: str) -> None:
    cluster.init()
    dsn = cluster.server.dsn_of(cluster.database, user=role)
    for statement in (OWN_RIGHTS, *SHARED_RIGHTS):
        cluster.execute(statement.format(database=cluster.database, role=role))

    done = cluster.init(BATCH_RUNNER_CLUSTER=dsn)

    assert done.stdout.startswith("the database is set up: nothing had to be changed")
    use_cluster(dsn)


def test_members_of_one_role_work_on_the_same_jobs(cluster: Cluster, role: str) -> None:
    users = [f"{role}_{name}" for name in ("anna", "bert")]
    cluster.execute(OWN_RIGHTS.format(database=cluster.database, role=role))
    for user in users:
        cluster.execute(
            f"CREATE ROLE {user} LOGIN",
            f"GRANT {role} TO {user}",
            f"ALTER ROLE {user} IN DATABASE {cluster.database} SET role = '{role}'",
        )
    schema = new_schema()
    try:
        anna, bert = (cluster.server.dsn_of(cluster.database, user=user) for user in users)
        done = cluster.init(BATCH_RUNNER_CLUSTER=anna)
        PostgresJournal.create(anna, schema, job="j", provider="baicai", origin="o").close()
        with closing(PostgresJournal.open(bert, schema)) as journal:
            journal.import_items(some_items(3))
        use_cluster(bert)
    finally:
        cluster.execute(*(f"DROP ROLE {user}" for user in users))

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (None, "is not set up for a cluster; `batch-runner cluster init` does that"),
        (0, "has version 0, and this program needs version 1; stop all workers"),
        (99, "has version 99, which a newer program has made"),
    ],
)
def test_program_refuses_tables_of_another_version(
    cluster: Cluster, version: int | None, message: str
) -> None:
    if version is not None:
        cluster.init()
        cluster.execute(f"UPDATE batch_runner.version SET version = {version}")  # noqa: S608

    with psycopg.connect(cluster.dsn) as connection, pytest.raises(UsageError, match=message):
        check_cluster(connection)
