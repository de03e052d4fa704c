"""The Compose file of the page many-hosts: its structure, its names, and its commands.

Where Docker has Compose, that checks the file, too.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from batch_runner.cli.main import COMMANDS
from tests.e2e.test_documentation import DOCS
from tests.harness.commands import bare_environment, run_command
from tests.harness.documentation import blocks

#: The keys of the Compose specification that the file uses.
TOP = {"name", "services", "volumes", "secrets"}
SERVICE = {
    *("image", "build", "user", "command", "environment", "secrets", "volumes", "restart"),
    *("healthcheck", "depends_on", "stop_grace_period", "deploy", "profiles"),
}
CONDITIONS = {"service_healthy", "service_completed_successfully", "service_started"}


@pytest.fixture(scope="module")
def text() -> str:
    (found,) = (
        block.text
        for block in blocks(DOCS / "many-hosts.md")
        if block.text.startswith("# compose.yaml")
    )
    return found


@pytest.fixture
def compose(text: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def test_compose_file_uses_known_keys(compose: dict[str, Any]) -> None:
    assert {key for key in compose if not key.startswith("x-")} == TOP
    for service in compose["services"].values():
        assert service.keys() <= SERVICE
        assert "image" in service


def test_services_refer_to_what_is_defined(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert set(service.get("secrets", ())) <= compose["secrets"].keys()
        for name, how in service.get("depends_on", {}).items():
            assert name in compose["services"]
            assert how["condition"] in CONDITIONS
        for volume in service.get("volumes", ()):
            source, target = volume.split(":")
            assert source in compose["volumes"] or source.startswith(".")
            assert target.startswith("/")
        for value in service.get("environment", {}).values():
            name = value.removeprefix("/run/secrets/")
            assert name == value or name in service["secrets"]


def test_services_have_commands_of_this_program(compose: dict[str, Any], tmp_path: Path) -> None:
    """Each is refused only because there is no cluster here: its options are right."""
    (tmp_path / "cards.yaml").write_text(
        "workflow: w\nparams: {a: {b: '{{ prompt }}'}}\nprompts: [x]\n"
    )
    commands = [one["command"] for one in compose["services"].values() if "command" in one]

    assert [command[0] for command in commands] == ["cluster", "worker", "run"]
    for command in commands:
        assert command[0] in COMMANDS
        result = run_command(
            *command,
            environment=bare_environment(HOME=str(tmp_path), BAICAI_API_KEY="sk-x"),
            folder=tmp_path,
        )
        assert result.returncode == 2
        assert "no cluster: set BATCH_RUNNER_CLUSTER" in result.stderr


def test_compose_accepts_the_file_where_it_is_installed(text: str, tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], check=False).returncode:
        return  # the tests above check what can be checked without it
    (tmp_path / "compose.yaml").write_text(text)
    subprocess.run([docker, "compose", "config", "--quiet"], cwd=tmp_path, check=True)
