"""Names of input files: Unicode forms, separators, and hints for files that do not exist."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from tests.unit.manifest.helpers import HEAD, items_of, problems_of, write

WITH_PHOTO = HEAD.replace('"}', '", image: "{{ photo }}"}')


def manifest(folder: Path, name: str) -> Path:
    return write(folder, f"{WITH_PHOTO}prompts: [a]\nfiles: {{photo: '{name}'}}\n")


@pytest.mark.parametrize("written", ["NFC", "NFD"])
@pytest.mark.parametrize("folder", ["NFC", "NFD"])
@pytest.mark.parametrize("file", ["NFC", "NFD"])
def test_input_file_is_found_in_any_unicode_form(
    tmp_path: Path, written: str, folder: str, file: str
) -> None:
    names = [unicodedata.normalize(folder, "Fotos é"), unicodedata.normalize(file, "café 각.jpg")]  # type: ignore[arg-type]
    write(tmp_path, b"x", "/".join(names))
    name = unicodedata.normalize(written, "Fotos é/café 각.jpg")  # type: ignore[arg-type]

    (item,) = items_of(manifest(tmp_path, name))

    assert len(item.files) == 1
    assert item.files[0].path.is_file()


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_data_file_is_found_in_any_unicode_form(tmp_path: Path, form: str) -> None:
    write(tmp_path, "prompt\na\n", unicodedata.normalize(form, "Gäste.csv"))  # type: ignore[arg-type]
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    name = unicodedata.normalize(other, "Gäste.csv")  # type: ignore[arg-type]

    assert len(items_of(write(tmp_path, f"{HEAD}items_from: {name}\n"))) == 1


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        (r"photos\a.jpg", "did you mean photos/a.jpg?"),
        (r"photos\none.jpg", "separated by /"),
        (r"C:\photos\x.jpg", "separated by /"),
        ("photos／a.jpg", "did you mean photos/a.jpg?"),
        ("photos/a.jpg ", "did you mean photos/a.jpg?"),
        ("photos/a.jpeg", "did you mean a.jpg?"),
        ("https://example.com/a.jpg", "download the file first"),
        ("~/a.jpg", "absolute path"),
        ("zzz", "relative to the folder of"),
    ],
)
def test_missing_input_file_gets_a_hint(tmp_path: Path, name: str, hint: str) -> None:
    write(tmp_path, b"x", "photos/a.jpg")

    (problem,) = problems_of(manifest(tmp_path, name))

    assert "does not exist" in problem.message
    assert hint in (problem.hint or "")
