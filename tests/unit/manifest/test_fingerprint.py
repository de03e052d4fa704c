"""Equal fingerprints mean equal items; None means unknown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batch_runner.manifest import load

HEAD = 'workflow: cards\nparams: {"6": {text: "{{ name }}"}}\nitems_from: rows.jsonl\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "rows.jsonl").write_text('{"name": "a"}\n{"name": "b"}\n')
    path = tmp_path / "cards.yaml"
    path.write_text(HEAD)
    return path


def test_same_files_have_same_fingerprint(path: Path) -> None:
    mark = load(path).fingerprint()
    os.utime(path, (1, 1))

    assert mark is not None
    assert load(path).fingerprint() == mark


def test_changed_row_or_line_changes_fingerprint(path: Path) -> None:
    marks = [load(path).fingerprint()]
    path.with_name("rows.jsonl").write_text('{"name": "a"}\n{"name": "c"}\n')
    marks.append(load(path).fingerprint())
    path.write_text(HEAD + "attempts: 2\n")
    marks.append(load(path).fingerprint())

    assert None not in marks
    assert len(set(marks)) == 3


def test_manifest_changed_after_reading_has_no_fingerprint(path: Path) -> None:
    manifest = load(path)
    path.write_text(HEAD + "attempts: 2\n")

    assert manifest.fingerprint() is None


def test_manifest_with_input_files_has_no_fingerprint(path: Path) -> None:
    path.with_name("horse.png").write_bytes(b"a horse")
    path.write_text(HEAD.replace("name }}", "photo }} {{ name }}") + "files: {photo: horse.png}\n")

    assert load(path).fingerprint() is None


def test_missing_data_file_has_no_fingerprint(path: Path) -> None:
    manifest = load(path)
    path.with_name("rows.jsonl").unlink()

    assert manifest.fingerprint() is None
