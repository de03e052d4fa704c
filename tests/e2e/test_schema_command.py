"""`schema` in a subprocess."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from tests.harness.commands import run_command

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
    return run_command(*words)


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
