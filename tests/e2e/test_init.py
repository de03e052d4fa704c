"""`init` in subprocesses, on a real terminal and without one; the examples it copies."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from batch_runner.cli.examples import EXAMPLES
from batch_runner.manifest import load
from batch_runner.providers import PROVIDERS
from tests.e2e.conftest import wait_until
from tests.harness.commands import PROGRAM, run_command

JOBS = Path(__file__).parents[2] / "jobs"
INTERRUPT = "interrupt"


def run(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return run_command(*words, folder=folder)


def on_a_terminal(words: Sequence[str], *answers: str) -> tuple[int, str]:
    """Type an answer at each question; return the exit status and what the terminal showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*PROGRAM, *words], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    left, shown, seen = iter(answers), b"", 0
    try:
        while part := os.read(ours, 4096):
            shown += part
            if shown[seen:].endswith((b"]: ", b"prompt: ")):
                seen = len(shown)
                if (text := next(left)) == INTERRUPT:
                    # A signal just before the read would only be noticed after it.
                    wait_until(lambda: is_asleep(process.pid))
                    process.send_signal(signal.SIGINT)
                else:
                    os.write(ours, f"{text}\n".encode() if text != "\x04" else b"\x04")
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert next(left, None) is None
    return process.wait(250), shown.decode().replace("\r\n", "\n")


def is_asleep(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@pytest.mark.slow
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


def test_init_without_a_terminal_asks_nothing(tmp_path: Path) -> None:
    manifest = tmp_path / "cards.yaml"

    done = run("init", str(manifest), "--workflow", "wedding_photo_retouching")

    assert (done.returncode, done.stderr) == (0, "")
    assert run("plan", str(manifest)).returncode == 0


def test_unknown_workflow_without_a_field_writes_nothing(tmp_path: Path) -> None:
    done = run("init", str(tmp_path / "cards.yaml"), "--workflow", "mine")

    assert done.returncode == 2
    assert "--field NODE.FIELD" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_wrong_answers_are_asked_again_one_by_one(tmp_path: Path) -> None:
    manifest = tmp_path / "cards.yaml"

    code, shown = on_a_terminal(["init", str(manifest)], "7", "my flow", "mine", "6", "6.text", "y")

    assert code == 0
    assert shown.count("Workflow (") == 3
    assert shown.count("Node and field of the prompt") == 2
    assert next(iter(load(manifest).items())).workflow == "mine"


def test_init_offers_the_documented_workflows(tmp_path: Path) -> None:
    manifest = tmp_path / "cards.yaml"

    code, shown = on_a_terminal(["init", str(manifest)], "2", "", "")

    assert code == 0
    assert "2  wedding_photo_retouching: " in shown
    assert "Node and field of the prompt [22.prompt]: " in shown
    # What is written is shown first.
    shown_first = shown.partition("Write ")[0]
    assert manifest.read_text("utf-8") in shown_first
    assert f"Write {manifest}, {tmp_path}/photos/bridal_couple.jpg?" in shown
    (item, *_) = load(manifest).items()
    assert (item.workflow, sorted(item.params)) == ("wedding_photo_retouching", ["113", "22"])


@pytest.mark.parametrize(
    ("answers", "status", "message"),
    [
        (("1", "", "n"), 3, "nothing was written"),
        (("1", "\x04"), 3, "the input ended; nothing was changed"),
        (("1", INTERRUPT), 130, "ended by Ctrl-C"),
    ],
    ids=["no", "end-of-input", "interrupt"],
)
def test_init_that_is_broken_off_writes_nothing(
    answers: tuple[str, ...], status: int, message: str, tmp_path: Path
) -> None:
    code, shown = on_a_terminal(["init", str(tmp_path / "cards.yaml")], *answers)

    assert code == status
    assert shown.endswith(f"{message}\n")
    assert "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []


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


def workflow_file(folder: Path) -> str:
    content = (JOBS / "comfyui_cards_workflow.json").read_text()
    (folder / "cards.json").write_text(content)
    return str(folder / "cards.json")


def test_workflow_file_without_a_terminal_gives_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    file = workflow_file(tmp_path)

    written = run("init", "jobs/horse.yaml", "--workflow", file, folder=tmp_path)

    assert (written.returncode, written.stderr) == (0, "")
    manifest = load(tmp_path / "jobs/horse.yaml", providers=PROVIDERS)
    items = list(manifest.items())
    assert items[0].workflow == "../cards.json"
    assert [sorted(item.params) for item in items] == [["3", "6"]] * 2
    assert len({item.params["3"]["seed"] for item in items}) == 2
    assert run("plan", "jobs/horse.yaml", folder=tmp_path).returncode == 0


def test_init_asks_which_inputs_of_a_workflow_file_to_vary(tmp_path: Path) -> None:
    manifest = tmp_path / "horse.yaml"
    file = workflow_file(tmp_path)

    words = ["init", str(manifest), "--workflow", file]
    code, shown = on_a_terminal(words, "9", "3", "1, 4", "y")

    assert code == 0
    assert "1  positive prompt: text = A cheerful" in shown
    assert "2  negative prompt: text = blurry" in shown
    assert "Inputs to vary (their numbers) [1,3]: " in shown
    assert "choose at least one text" in shown
    item, _ = load(manifest, providers=PROVIDERS).items()
    assert item.params == {"6": {"text": item.prompt}, "5": {"width": 1024}}


def test_workflow_of_the_editor_is_told_how_to_export(tmp_path: Path) -> None:
    (tmp_path / "cards.json").write_text('{"nodes": [], "links": [], "version": 0.4}')

    done = run("init", "--workflow", "cards.json", folder=tmp_path)

    assert done.returncode == 2
    assert "choose Export (API) in the menu Workflow" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["cards.json"]


def test_every_job_of_the_repository_is_an_example() -> None:
    files = {str(path.relative_to(JOBS)) for path in JOBS.rglob("*.*") if "out" not in path.parts}
    read = {file for example in EXAMPLES.values() for file in example.files}

    assert files == {f"{name}.yaml" for name in EXAMPLES} | read


def test_example_list_has_a_line_for_each(tmp_path: Path) -> None:
    done = run("init", "--example", "list", folder=tmp_path)

    assert [line.split()[0] for line in done.stdout.splitlines()] == list(EXAMPLES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_example_can_be_rehearsed(name: str, tmp_path: Path) -> None:
    written = run("init", "--example", name, folder=tmp_path)
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    rehearsed = run("run", f"{name}.yaml", "--rehearse", folder=tmp_path)

    assert (written.returncode, rehearsed.returncode) == (0, 0), written.stderr + rehearsed.stderr
    assert {str(path.relative_to(tmp_path)) for path in files} == {
        f"{name}.yaml",
        *EXAMPLES[name].files,
    }
    assert list(tmp_path.glob(f"out/{name}.rehearsal/*.png"))


def test_example_whose_second_file_exists_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_text("mine")

    done = run("init", "--example", "csv", folder=tmp_path)

    assert done.returncode == 2
    assert "names.csv exists; nothing was written" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["names.csv"]


def test_example_that_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "photos").write_text("a file, not a folder")

    done = run("init", "--example", "photos", folder=tmp_path)

    assert done.returncode == 2
    assert "cannot write photos/bridal_couple.jpg" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
