"""`files_from`: each matching file is an item, combined with prompts and matrix."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from batch_runner.manifest.sources.file_matches import find_matches
from batch_runner.models import UPLOAD_MARK
from tests.unit.manifest.helpers import items_of, problems_of, write

HEAD = 'workflow: w\nparams: {"1": {url: "{{ photo }}"}}\n'


def photos(folder: Path, *names: str) -> None:
    for name in names:
        write(folder, f"content of {name}", name)


def found(folder: Path, pattern: str) -> list[str]:
    return [one.path for one in find_matches(folder, pattern)]


def test_files_alone_are_items_named_by_their_stem(tmp_path: Path) -> None:
    photos(tmp_path, "photos/IMG 10.jpg", "photos/IMG 9.jpg", "photos/notes.txt")

    items = items_of(write(tmp_path, HEAD + 'files_from: {photo: "photos/*.jpg"}\n'))

    assert [item.id for item in items] == ["img-9", "img-10"]
    assert [item.prompt for item in items] == ["IMG 9.jpg", "IMG 10.jpg"]
    assert [item.variables for item in items] == [{"photo": "img-9"}, {"photo": "img-10"}]
    (file,) = items[0].files
    assert file.path.name == "IMG 9.jpg"
    assert items[0].params == {"1": {"url": UPLOAD_MARK + file.sha256}}


def test_files_are_combined_with_prompts_matrix_and_rows(tmp_path: Path) -> None:
    photos(tmp_path, "a.jpg", "b.jpg")
    write(tmp_path, "prompt\nfrom a row\n", "rows.csv")
    head = 'workflow: w\nparams: {"1": {u: "{{ photo }}", t: "{{ prompt }} {{ style }}"}}\n'
    more = (
        'prompts: [{id: warm, prompt: "warm {{ photo_stem }}"}]\nprompts_from: rows.csv\n'
        'files_from: {photo: "*.jpg"}\nmatrix: {style: [ink, oil]}\n'
        "output: {name: '{{ photo_stem }}_{{ photo.id }}_{{ id }}'}\n"
    )

    items = items_of(write(tmp_path, head + more))

    assert [item.params["1"]["t"] for item in items][:4] == [
        *("warm a ink", "warm a oil", "warm b ink", "warm b oil")
    ]
    assert [item.id for item in items][:2] == ["warm-a-ink", "warm-a-oil"]
    assert items[0].name == "a_a_warm-a-ink"
    assert [item.params["1"]["t"] for item in items][4:] == [
        f"from a row {style}" for style in ("ink", "oil") * 2
    ]


def test_file_that_belongs_to_each_is_found_by_stem(tmp_path: Path) -> None:
    photos(tmp_path, "photos/a.jpg", "masks/a.png")
    head = 'workflow: w\nparams: {"1": {u: "{{ photo }}", m: "{{ mask }}"}}\n'
    more = 'files_from: {photo: "photos/*"}\nfiles: {mask: "masks/{{ photo_stem }}.png"}\n'

    (item,) = items_of(write(tmp_path, head + more))

    assert [file.path.name for file in item.files] == ["a.jpg", "a.png"]


def test_key_depends_on_content_and_not_on_name(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + 'files_from: {photo: "*.jpg"}\n')
    write(tmp_path, b"x", "a.jpg")
    (before,) = items_of(path)
    (tmp_path / "a.jpg").rename(tmp_path / "b.jpg")
    (after,) = items_of(path)

    assert before.key == after.key


def test_patterns_are_those_of_shells(tmp_path: Path) -> None:
    photos(tmp_path, "p/1.jpg", "p/2.png", "p/.hidden.jpg", "p/q/3.jpg", "p/.r/4.jpg", "p/[x].jpg")
    (tmp_path / "p" / "folder.jpg").mkdir()

    assert found(tmp_path, "p/*.jpg") == ["p/1.jpg", "p/[x].jpg"]
    assert found(tmp_path, "p/*.{jpg,png}") == ["p/1.jpg", "p/2.png", "p/[x].jpg"]
    assert found(tmp_path, "p/?.*") == ["p/1.jpg", "p/2.png"]
    assert found(tmp_path, "p/**/*.jpg") == ["p/1.jpg", "p/[x].jpg", "p/q/3.jpg"]
    assert found(tmp_path, "p/**") == ["p/1.jpg", "p/2.png", "p/[x].jpg", "p/q/3.jpg"]
    assert found(tmp_path, "p/.*.jpg") == ["p/.hidden.jpg"]
    assert found(tmp_path, "p/1.jpg") == ["p/1.jpg"]
    assert found(tmp_path / "p", "../p/q/*") == ["../p/q/3.jpg"]
    assert found(tmp_path / "p", f"{tmp_path}/p/q/*") == [f"{tmp_path}/p/q/3.jpg"]
    assert found(tmp_path, "*.jpg") == []


def test_link_to_a_folder_above_does_not_loop(tmp_path: Path) -> None:
    photos(tmp_path, "p/1.jpg")
    (tmp_path / "p" / "up").symlink_to(tmp_path)

    assert found(tmp_path, "p/**/*.jpg") == ["p/1.jpg"]


@pytest.mark.parametrize("written", ["NFC", "NFD"])
@pytest.mark.parametrize("there", ["NFC", "NFD"])
def test_names_match_in_any_unicode_form(tmp_path: Path, written: str, there: str) -> None:
    photos(tmp_path, unicodedata.normalize(there, "Fotos é/café.jpg"))  # type: ignore[arg-type]
    pattern = unicodedata.normalize(written, "Fotos é/caf*é.jpg")  # type: ignore[arg-type]

    (item,) = items_of(write(tmp_path, f"{HEAD}files_from: {{photo: '{pattern}'}}\n"))

    assert item.id == "café"


def test_recursive_pattern_names_items_by_folder(tmp_path: Path) -> None:
    photos(tmp_path, "p/anna/1.jpg", "p/bo/1.jpg")

    items = items_of(write(tmp_path, HEAD + 'files_from: {photo: "p/*/*.jpg"}\n'))

    assert [item.id for item in items] == ["anna-1", "bo-1"]


@pytest.mark.parametrize(
    ("value", "message", "hint"),
    [
        ('{photo: "photos/*.png"}', "no file matches photos/*.png", "relative to the folder"),
        ('{photo: "pictures/*.jpg"}', "no file matches", "there is no folder pictures"),
        ('{photo: "photos/*.JPG"}', "no file matches", "did you mean photos/a.jpg?"),
        (r"{photo: 'photos\*.jpg'}", "no file matches", "separated by /"),
        ("{photo: '~/p/*.jpg'}", "use an absolute path", ""),
        ("{photo: '{{ x }}.jpg'}", "cannot be a template", ""),
        ("{photo: 'photos/*', mask: 'm/*'}", "wanted one variable with a pattern", ""),
        ("{}", "wanted one variable with a pattern", ""),
        ("'photos/*.jpg'", "wanted a mapping", ""),
        ("{id: 'photos/*.jpg'}", "a variable cannot be named id", ""),
        ("{photo: 'twins/*'}", "would both give the item a", "rename one"),
        ("{photo: 'bad/empty.jpg'}", "is empty", ""),
        ("{photo: 'bad/pipe.jpg'}", "is not a regular file", ""),
        ("{photo: 'bad/link.jpg'}", "does not exist", ""),
        ("{picture: 'photos/*.jpg'}", "no template uses the file picture", "{{ picture }}"),
    ],
)
def test_bad_pattern_is_refused(tmp_path: Path, value: str, message: str, hint: str) -> None:
    photos(tmp_path, "photos/a.jpg", "twins/a.jpg", "twins/A.png")
    write(tmp_path, b"", "bad/empty.jpg")
    os.mkfifo(tmp_path / "bad" / "pipe.jpg")
    (tmp_path / "bad" / "link.jpg").symlink_to(tmp_path / "nowhere")

    problems = problems_of(write(tmp_path, f"{HEAD}files_from: {value}\n"))

    problem = next(one for one in problems if message in one.message)
    assert problem.line == 3
    assert hint in (problem.hint or "")


def test_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    with open(folder + b"/caf\xe9.jpg", "wb") as file:  # noqa: PTH123  not valid UTF-8
        file.write(b"x")

    (problem,) = problems_of(write(tmp_path, HEAD + 'files_from: {photo: "*.jpg"}\n'))

    assert "is not UTF-8" in problem.message


@pytest.mark.parametrize(
    "more",
    [
        "matrix: {photo_stem: [x, y]}\n",
        "defaults: {photo_stem: x}\n",
        "files: {photo: a.jpg}\n",
        "prompts: [{prompt: a, photo: b}]\n",
        "prompts_from: rows.csv\n",
    ],
)
def test_variable_of_another_source_is_refused(tmp_path: Path, more: str) -> None:
    photos(tmp_path, "a.jpg")
    write(tmp_path, "photo\nx\n", "rows.csv")

    problems = problems_of(write(tmp_path, f"{HEAD}files_from: {{photo: '*.jpg'}}\n{more}"))

    assert any("photo" in one.message and "rename one" in (one.hint or "") for one in problems)


def test_equal_files_are_refused_or_skipped(tmp_path: Path) -> None:
    write(tmp_path, b"x", "a.jpg")
    write(tmp_path, b"x", "b.jpg")
    text = HEAD + 'files_from: {photo: "*.jpg"}\n'

    (problem,) = problems_of(write(tmp_path, text))
    assert "would send the same request as a " in problem.message
    assert problem.item == "b"
    assert [item.id for item in items_of(write(tmp_path, text + "on_duplicate: skip\n"))] == ["a"]
