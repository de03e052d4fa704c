"""`doctor` in a subprocess, with the real simulator, and with everything that can be wrong."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from batch_runner.doctor.checks import Level
from tests.e2e.conftest import KEY, Command, Service, write_manifest
from tests.e2e.test_systems import OTHER_SYSTEM
from tests.harness.commands import PATIENCE, run_command

#: A service that nobody runs, on a port that nobody may use.
NOBODY = "http://127.0.0.1:1"


class Doctor:
    """The command with an environment; `checks` are those of its last call, by name."""

    def __init__(self, command: Command) -> None:
        self.environment = command.environment
        self.folder = command.folder
        self.manifest = command.manifest
        self.checks: dict[str, dict[str, str]] = {}

    def run(
        self, *arguments: str, program: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run the command, or the arguments of an interpreter that are given as `program`."""
        if not program:
            words = ("doctor", *arguments)
            return run_command(*words, environment=self.environment, folder=self.folder)
        return subprocess.run(
            [sys.executable, *program, "doctor", *arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def __call__(self, *arguments: str, **options: Any) -> int:
        done = self.run(*arguments, "--json", **options)
        assert done.stderr == ""
        assert KEY not in done.stdout
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.checks = {row["check"]: row for row in rows}
        assert len(self.checks) == len(rows)
        return done.returncode

    def found(self, level: Level) -> list[str]:
        return [name for name, row in self.checks.items() if row["level"] == level]


@pytest.fixture
def online(command: Command) -> Doctor:
    return Doctor(command)


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    """Return a doctor without a service; its address is one of nobody."""
    write_manifest(tmp_path / "cards.yaml", 8)
    names = ("PATH", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "PYTHONPATH")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    environment |= {"XDG_STATE_HOME": str(tmp_path / "state"), "BAICAI_BASE_URL": NOBODY}
    environment["BAICAI_API_KEY"] = KEY
    return Doctor(Command(tmp_path, tmp_path / "cards.yaml", environment))


def files_below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_sound_job_has_no_problem(online: Doctor, service: Service) -> None:
    before = files_below(online.folder)

    assert online(str(online.manifest)) == 0

    assert online.found(Level.PROBLEM) == []
    assert {"manifest", "settings", "output folder", "disk space", "key", "connection"} <= {
        *online.found(Level.OK)
    }
    assert "404" in online.checks["key accepted"]["seen"]
    assert online.checks["clock"]["level"] == "ok"
    assert "8 items" in online.checks["manifest"]["seen"]
    ledger = service.ledger()
    assert ledger["submissions"] == []
    assert ledger["uploads"] == []
    assert files_below(online.folder) == before


def test_text_has_a_line_for_each_check(online: Doctor) -> None:
    online(str(online.manifest))

    done = online.run(str(online.manifest))

    lines = done.stdout.splitlines()
    assert [line.split(":")[0].split(maxsplit=1)[1] for line in lines] == list(online.checks)
    assert all(line.split()[0] in {*Level} for line in lines)
    assert done.stderr.startswith("0 problems, ")
    assert KEY not in done.stdout


def test_rejected_key_is_a_problem(online: Doctor, service: Service) -> None:
    online.environment["BAICAI_API_KEY"] = "wrong-key"

    assert online() == 2

    assert online.found(Level.PROBLEM) == ["key accepted"]
    assert "401" in online.checks["key accepted"]["seen"]


@pytest.mark.parametrize(
    ("fault", "level"),
    [
        ("http:status:status=503", "warning"),
        ("html:status:status=200", "problem"),
        ("balance:status", "problem"),
    ],
)
def test_response_to_the_status_request_is_judged(
    online: Doctor, service: Service, fault: str, level: str
) -> None:
    service.set_faults(fault)

    online()

    assert online.checks["key accepted"]["level"] == level


def test_another_web_server_is_a_warning(doctor: Doctor, tmp_path: Path) -> None:
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        doctor.environment["BAICAI_BASE_URL"] = f"http://127.0.0.1:{server.server_port}"
        assert doctor() == 0
        server.shutdown()

    assert doctor.checks["connection"]["level"] == Level.OK
    assert doctor.checks["key accepted"]["level"] == Level.WARNING
    assert "another web server" in doctor.checks["key accepted"]["advice"]


@pytest.mark.parametrize("address", [NOBODY, "http://no.such.host.invalid"])
def test_unreachable_service_is_a_problem(doctor: Doctor, address: str) -> None:
    doctor.environment["BAICAI_BASE_URL"] = address

    assert doctor() == 2

    assert doctor.found(Level.PROBLEM) == ["connection"]


def test_failing_tls_is_a_problem(online: Doctor, service: Service) -> None:
    online.environment["BAICAI_BASE_URL"] = service.url.replace("http:", "https:")

    assert online() == 2

    assert online.found(Level.PROBLEM) == ["connection"]
    assert "SSL" in online.checks["connection"]["seen"]


def test_offline_sends_nothing(doctor: Doctor) -> None:
    assert doctor("--offline") == 0
    assert not {"connection", "clock", "key accepted"} & doctor.checks.keys()


def test_documentation_host_is_a_problem(doctor: Doctor) -> None:
    doctor.environment["BAICAI_BASE_URL"] = "https://docs.baicainfer.com"

    assert doctor() == 2
    assert doctor.found(Level.PROBLEM) == ["address"]
    assert "cloud.baicaiinfer.com" in doctor.checks["address"]["seen"]


@pytest.mark.parametrize("variable", ["", "BAICAI_API_KEY_FILE"])
def test_missing_key_is_a_problem(doctor: Doctor, variable: str) -> None:
    del doctor.environment["BAICAI_API_KEY"]
    if variable:
        doctor.environment[variable] = str(doctor.folder / "nothing")

    assert doctor("--offline") == 2
    assert doctor.found(Level.PROBLEM) == ["key"]


def test_ignored_proxy_and_missing_certificates_are_named(doctor: Doctor) -> None:
    doctor.environment["https_proxy"] = "http://someone:secret@proxy.test"
    doctor.environment["SSL_CERT_FILE"] = str(doctor.folder / "nothing")

    assert doctor("--offline") == 2

    assert doctor.checks["proxy"]["seen"] == "https_proxy ignored"
    assert doctor.found(Level.PROBLEM) == ["TLS"]
    assert "secret" not in json.dumps(doctor.checks)


def test_unknown_variable_is_one_problem(doctor: Doctor) -> None:
    doctor.environment["BATCH_RUNNER_MAX_SUBMISION"] = "3"

    doctor(str(doctor.manifest), "--offline")

    said = [name for name, row in doctor.checks.items() if "MAX_SUBMISION" in str(row)]
    assert said == ["environment"]


@pytest.mark.parametrize("place", ["manifest", "user config", "user config without manifest"])
def test_proxy_of_the_settings_is_named(doctor: Doctor, place: str) -> None:
    doctor.environment["XDG_CONFIG_HOME"] = str(doctor.folder)
    text = "network: {proxy: 'http://me:hush@proxy.example:3128'}\n"
    if place == "manifest":
        write_manifest(doctor.manifest, 1, more=text)
    else:
        (doctor.folder / "batch-runner").mkdir()
        (doctor.folder / "batch-runner/config.yaml").write_text(text)

    doctor(*([] if "without" in place else [str(doctor.manifest)]), "--offline")

    assert "proxy.example:3128 (network.proxy)" in doctor.checks["proxy"]["seen"]
    assert "hush" not in str(doctor.checks)


def test_bare_environment_has_warnings_only(online: Doctor) -> None:
    kept = ("BAICAI_API_KEY", "BAICAI_BASE_URL", "COVERAGE_PROCESS_START", "PYTHONPATH")
    online.environment = {n: t for n, t in online.environment.items() if n in kept}
    online.environment["PATH"] = str(online.folder)

    assert online() == 0
    assert {"user config", "state folder", "schedulers"} <= {*online.found(Level.WARNING)}


@pytest.mark.parametrize("text", [None, "prompts: [", "workflow: w\nprompts: [a, a, ~]\n"])
def test_broken_manifest_is_one_problem(doctor: Doctor, text: str | None) -> None:
    manifest = doctor.folder / "broken.yaml"
    if text is not None:
        manifest.write_text(text)

    assert doctor(str(manifest), "--offline") == 2
    assert doctor.found(Level.PROBLEM) == ["manifest"]
    assert "broken.yaml:" in doctor.checks["manifest"]["seen"]
    assert "\n" not in doctor.checks["manifest"]["seen"]


def test_invalid_settings_are_problems(doctor: Doctor) -> None:
    doctor.environment |= {"BATCH_RUNNER_RATE": "fast", "BATCH_RUNNER_MAX_SUBMISION": "5"}
    config = doctor.folder / "config/batch-runner/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("limits: {price: much}\n")
    doctor.environment["XDG_CONFIG_HOME"] = str(doctor.folder / "config")

    assert doctor(str(doctor.manifest), "--offline") == 2
    assert doctor.found(Level.PROBLEM) == ["environment", "user config"]

    config.unlink()
    doctor(str(doctor.manifest), "--offline")
    assert doctor.found(Level.PROBLEM) == ["environment", "settings"]
    assert "fast" in doctor.checks["settings"]["seen"]


@pytest.mark.parametrize("kind", ["file", "missing journal"])
def test_unusable_output_folder_is_a_problem(doctor: Doctor, kind: str) -> None:
    out = doctor.folder / "out"
    if kind == "file":
        out.write_text("")
    else:
        out.mkdir()
        (out / ".batch-job.json").write_text("{}")

    assert doctor(str(doctor.manifest), "--output", str(out), "--offline") == 2
    assert doctor.found(Level.PROBLEM) == ["output folder" if kind == "file" else "job"]


@pytest.mark.parametrize(
    ("fault", "level"), [("without_locks", "problem"), ("unsyncable_folders", "warning")]
)
def test_file_system_with_a_fault_is_reported(doctor: Doctor, fault: str, level: str) -> None:
    doctor(str(doctor.manifest), "--offline", program=(str(OTHER_SYSTEM), fault, "--"))

    assert doctor.checks["output folder"]["level"] == level


def test_read_only_folder_is_reported(doctor: Doctor) -> None:
    if os.geteuid() == 0:
        folder = "/proc"  # also root cannot write there
    else:
        doctor.folder.chmod(0o500)
        folder = str(doctor.folder)
    doctor.environment["XDG_STATE_HOME"] = folder

    code = doctor(str(doctor.manifest), "--output", f"{folder}/out", "--offline")

    assert code == 2
    assert doctor.found(Level.PROBLEM) == ["output folder"]
    assert "state folder" in doctor.found(Level.WARNING)


def test_linger_matters_for_an_installed_timer(doctor: Doctor) -> None:
    programs, config = doctor.folder / "bin", doctor.folder / "config"
    programs.mkdir()
    for name, answer in (("systemctl", ""), ("loginctl", "no")):
        (programs / name).write_text(f"#!/bin/sh\necho {answer}\n")
        (programs / name).chmod(0o755)
    doctor.environment |= {"PATH": f"{programs}:/usr/bin:/bin", "XDG_CONFIG_HOME": str(config)}

    doctor("--offline")
    before = doctor.checks["linger"]["level"]
    (config / "systemd/user").mkdir(parents=True)
    (config / "systemd/user/batch-runner-cards.timer").write_text("")
    doctor("--offline")

    assert (before, doctor.checks["linger"]["level"]) == ("ok", "warning")
    assert doctor.checks["linger"]["advice"] == "loginctl enable-linger"


def test_registry_is_read(doctor: Doctor) -> None:
    registry = doctor.folder / "state/batch-runner/registry.sqlite"
    levels = []
    for content in (None, b"no database at all\n" * 100):
        if content is not None:
            registry.parent.mkdir(parents=True)
            registry.write_bytes(content)
        doctor("--offline")
        levels.append(doctor.checks["registry"]["level"])

    assert levels == ["ok", "problem"]
    assert "damaged" in doctor.checks["registry"]["seen"]


def test_missing_locale_is_a_warning(doctor: Doctor) -> None:
    doctor.environment["LANG"] = "xx_YY.GBK"

    doctor("--offline")

    assert doctor.checks["locale"]["level"] == "warning"
