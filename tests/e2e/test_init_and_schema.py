"""`init` and `schema` in subprocesses."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from batch_runner.manifest import load

COMMAND = [sys.executable, "-m", "batch_runner"]
JOBS = sorted(Path(__file__).parents[2].glob("jobs/*.yaml"))
RIGHT = 'workflow: w\nparams: {"6": {text: "{{ prompt }}"}}\nprompts: [a horse]\n'
WRONG = {
    "no-items": RIGHT.replace("prompts: [a horse]", ""),
    "unknown-key": RIGHT + "limts: {}\n",
    "invalid-rate": RIGHT + "limits: {rate: fast}\n",
    "invalid-time-of-day": RIGHT + 'limits: {until: "25:00"}\n',
    "submissions-below-one": RIGHT + "limits: {max_submissions: 0}\n",
    "list-for-params": RIGHT.replace('{"6": {text: "{{ prompt }}"}}', "[1]"),
    "unknown-moment": RIGHT + "on_finish: {when: never}\n",
    "job-is-a-path": RIGHT + "job: ../up\n",
    "prompts-as-text": RIGHT.replace("[a horse]", "a horse"),
}


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=250
    )


def answer(manifest: Path, *answers: str) -> tuple[int, str]:
    """Start a manifest on a terminal; return the exit code and what the terminal showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "init", str(manifest)], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    os.write(ours, "".join(f"{one}\n" for one in answers).encode())
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    return process.wait(250), shown.decode()


def test_first_manifest_runs(tmp_path: Path) -> None:
    manifest = tmp_path / "first cards.yaml"

    written = run("init", str(manifest), "--workflow", "horses: no", "--field", "22.prompt")
    rehearsed = run("run", str(manifest), "--rehearse")

    assert (written.returncode, rehearsed.returncode) == (0, 0), written.stderr + rehearsed.stderr
    assert len(list(tmp_path.glob("out/first cards.rehearsal/*.png"))) == 3
    item = next(iter(load(manifest).items()))
    assert item.workflow == "horses: no"
    assert item.params == {"22": {"prompt": item.prompt}}
    # The printed command works.
    assert f"batch-runner run '{manifest}' --rehearse" in written.stdout


def test_init_on_a_terminal_uses_the_answers(tmp_path: Path) -> None:
    code, shown = answer(tmp_path / "cards.yaml", "my-workflow", "")

    item = next(iter(load(tmp_path / "cards.yaml").items()))
    assert code == 0
    assert shown.index("Workflow id") < shown.index("Node and field")
    assert (item.workflow, list(item.params)) == ("my-workflow", ["6"])


@pytest.mark.parametrize("kind", ["file", "dead-link", "folder"])
def test_init_overwrites_nothing(kind: str, tmp_path: Path) -> None:
    manifest = tmp_path / "cards.yaml"
    if kind == "file":
        manifest.write_text("mine")
    elif kind == "folder":
        manifest.mkdir()
    else:
        manifest.symlink_to(tmp_path / "elsewhere")

    done = run("init", str(manifest))

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert kind != "file" or manifest.read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()


def test_invalid_answer_writes_nothing(tmp_path: Path) -> None:
    code, shown = answer(tmp_path / "cards.yaml", "w", "no dot")

    assert code == 2
    assert "6.text" in shown
    assert list(tmp_path.iterdir()) == []


def test_schema_agrees_with_the_program(tmp_path: Path) -> None:
    schema = json.loads(run("schema").stdout)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert len(JOBS) > 2
    for path in JOBS:
        assert list(validator.iter_errors(yaml.safe_load(path.read_text("utf-8")))) == [], path.name
    for name, text in WRONG.items():
        assert list(validator.iter_errors(yaml.safe_load(text))) != [], name
    # The program refuses each of them, too; one process checks all.
    paths = [tmp_path / f"{name}.yaml" for name in WRONG]
    for path in paths:
        path.write_text(WRONG[path.stem], "utf-8")
    program = "import sys; from batch_runner.cli.main import run_command; " + (
        "print([run_command(['plan', path]) for path in sys.argv[1:]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.stdout == f"{[2] * len(paths)}\n"
