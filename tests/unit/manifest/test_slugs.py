"""Slugs keep the marks of every script in names; what is sent stays as it was, or keys change."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from batch_runner.manifest.filenames import refusal, slug
from tests.unit.manifest.helpers import items_of, write


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("हिन्दी में घोड़ा", "हिन्दी-में-घोड़ा"),
        ("ม้าในหิมะที่นี่", "ม้าในหิมะที่นี่"),
        ("தமிழ் குதிரை", "தமிழ்-குதிரை"),
        ("İstanbul IĞDIR", "istanbul-iğdir"),
        ("Straße groß", "straße-groß"),
        ("👨‍👩‍👧 family ❤️ 1️⃣", "family-1"),
        ("حِصَان في الثلج", "حِصَان-في-الثلج"),
        ("می‌خواهم", "میخواهم"),
        ("한국어 말", "한국어-말"),
        ("קוֹל", "קו\u05b9ל"),
        ("e\u0301te\u0301", "été"),
        ("x\u0323\u0302y", "x\u0323\u0302y"),
        ("\u0301 a", "a"),
        ("Don't, don’t", "dont-dont"),
        ("a_b -- c", "a-b-c"),
        ("中文，标点。", "中文-标点"),
    ],
)
def test_slug_keeps_letters_and_their_marks(text: str, words: str) -> None:
    assert slug(text) == words
    assert refusal(words) is None


@pytest.mark.parametrize("length", range(1, 12))
def test_slug_is_not_cut_inside_of_a_letter(length: int) -> None:
    words = slug("हिन्दीहिन्दीहिन्दी", length)

    assert len(words) <= length
    following = "हिन्दीहिन्दीहिन्दी"[len(words)]
    assert not words or not unicodedata.category(following).startswith("M")


HINDI, THAI = "हिन्दी में घोड़ा", "ม้าในหิมะ"
SENT = {
    "filter": (
        'params: {"6": {text: "{{ prompt }}", folder: "{{ prompt | slug }}"}}\n'
        f"prompts: [{HINDI}, İstanbul]\n"
    ),
    "id": (
        f'params: {{"6": {{text: "{{{{ prompt }}}}", name: "{{{{ id }}}}"}}}}\nprompts: [{THAI}]\n'
    ),
    "matrix": (
        'params: {"6": {text: "{{ style }} {{ style.id }}"}}\n'
        f"matrix: {{style: [{HINDI}, {THAI}]}}\n"
    ),
    "matrix-id": (
        'params: {"6": {text: "{{ style }}", name: "{{ id }}"}}\n'
        f"matrix: {{style: [{HINDI}, {THAI}], exclude: [{{style: ह-न-द-म-घ-ड}}]}}\n"
    ),
    "name": (
        'params: {"6": {text: "{{ prompt }}"}}\noutput: {name: "{{ prompt | slug }}"}\n'
        f"prompts: [{HINDI}]\n"
    ),
    "plain": (
        f'params: {{"6": {{text: "{{{{ style }}}}"}}}}\nmatrix: {{style: [{HINDI}, {THAI}]}}\n'
    ),
}


#: Computed by the version that had no marks in any slug.
KEYS = {
    "filter": ["d6fcd4c8ef7600fafcdd811a6fa52799", "08418d0116abb10beab772b37200aa4e"],
    "id": ["add6e2e9c0cad3dcab311eefd939392b"],
    "matrix": ["7fba2ed18342397d9db84e954109f250", "5b50c6ed1e664d0ae06b7ad9da8a2ccb"],
    "matrix-id": ["f520f6fba1d555b308e66a500cac5ede"],
    "name": ["eb4af2ea8310b0d6695c166f0b9ab8df"],
    "plain": ["eb4af2ea8310b0d6695c166f0b9ab8df", "a469407065edf6db99f3074e71ae94b3"],
}


@pytest.mark.parametrize("name", SENT)
def test_golden_keys_of_sent_slugs_do_not_change(tmp_path: Path, name: str) -> None:
    items = items_of(write(tmp_path, f"workflow: w\n{SENT[name]}"))

    assert [item.key for item in items] == KEYS[name]


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("filter", ["हिन्दी-में-घोड़ा-d6fcd4", "istanbul-08418d"]),
        ("id", ["ม-าในห-มะ-053d3f"]),  # it is sent
        ("matrix", ["हिन्दी-में-घोड़ा", "ม้าในหิมะ"]),
        ("name", ["हिन्दी-में-घोड़ा"]),
        ("plain", ["हिन्दी-में-घोड़ा", "ม้าในหิมะ"]),
    ],
)
def test_names_of_files_have_marks(tmp_path: Path, name: str, names: list[str]) -> None:
    items = items_of(write(tmp_path, f"workflow: w\n{SENT[name]}"))

    assert [item.name for item in items] == [unicodedata.normalize("NFC", one) for one in names]


def test_path_of_an_input_file_keeps_its_slug(tmp_path: Path) -> None:
    write(tmp_path, b"x", "ม-าในห-มะ.jpg")
    text = (
        'workflow: w\nparams: {"6": {text: "{{ style }}", image: "{{ photo }}"}}\n'
        f'matrix: {{style: [{THAI}]}}\nfiles: {{photo: "{{{{ style | slug }}}}.jpg"}}\n'
    )

    assert len(items_of(write(tmp_path, text))) == 1


def test_values_that_differ_in_marks_have_two_ids(tmp_path: Path) -> None:
    text = 'workflow: w\nparams: {"6": {text: "{{ style }}"}}\nmatrix: {style: [हि, ही]}\n'

    assert [item.id for item in items_of(write(tmp_path, text))] == ["हि", "ही"]


def test_include_finds_a_value_by_its_marks(tmp_path: Path) -> None:
    text = (
        'workflow: w\nparams: {"6": {text: "{{ style }} {{ ink | default(0) }} {{ style.id }}"}}\n'
        "matrix: {style: [हि, ही], include: [{style: ही, ink: काला}]}\n"
    )

    items = items_of(write(tmp_path, text))

    assert [item.params["6"]["text"] for item in items] == ["हि 0 ह", "ही काला ह"]
    assert [item.variables for item in items] == [
        {"style": "हि"},
        {"style": "ही", "ink": "काला"},
    ]
