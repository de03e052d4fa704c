"""Where the connection string of the cluster is read from."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_runner.errors import UsageError
from batch_runner.journal.cluster_dsn import cluster_dsn

DSN = "host=db user=me password='hidden word'"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "dsn"
    path.write_text(DSN)
    return path


def test_no_connection_string_is_none(tmp_path: Path) -> None:
    assert cluster_dsn({"HOME": str(tmp_path)}) is None
    assert cluster_dsn({"HOME": str(tmp_path), "BATCH_RUNNER_CLUSTER": " "}) is None


def test_variable_holds_the_connection_string() -> None:
    assert cluster_dsn({"BATCH_RUNNER_CLUSTER": DSN + "\n"}) == DSN


@pytest.mark.parametrize("content", ["{}\r\n", "\ufeff{}", '"{}"', "BATCH_RUNNER_CLUSTER={}"])
def test_file_holds_the_connection_string(file: Path, content: str) -> None:
    file.write_text(content.format(DSN), encoding="utf-8")

    assert cluster_dsn({"BATCH_RUNNER_CLUSTER_FILE": str(file)}) == DSN


def test_config_folder_is_looked_at_last(tmp_path: Path, file: Path) -> None:
    (tmp_path / "batch-runner").mkdir()
    (tmp_path / "batch-runner/cluster").write_text("host=other")
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}

    assert cluster_dsn(environment) == "host=other"
    assert cluster_dsn(environment | {"BATCH_RUNNER_CLUSTER_FILE": str(file)}) == DSN
    assert cluster_dsn(environment | {"BATCH_RUNNER_CLUSTER": DSN}) == DSN


def test_both_variables_are_refused(file: Path) -> None:
    environment = {"BATCH_RUNNER_CLUSTER": DSN, "BATCH_RUNNER_CLUSTER_FILE": str(file)}

    with pytest.raises(UsageError, match="are both set; unset one of them") as caught:
        cluster_dsn(environment)

    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b'""\n', "it is empty"),
        (b"host=hidden\nhost=b", "holds more than one line"),
        (b"hidden\xff\xfe", "cannot read"),
    ],
)
def test_unusable_file_is_named_but_not_shown(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)

    with pytest.raises(UsageError, match=message) as caught:
        cluster_dsn({"BATCH_RUNNER_CLUSTER_FILE": str(file)})

    assert str(file) in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the connection string of the cluster"):
        cluster_dsn({"BATCH_RUNNER_CLUSTER_FILE": str(tmp_path / "nothing")})
