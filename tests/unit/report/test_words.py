"""The words of the report in both languages."""

from __future__ import annotations

import re
from importlib.resources import files as package_files

from batch_runner.lifecycle import Event, ItemStatus
from batch_runner.media import DEFAULT_KINDS, MAYBE_ERROR_PAGE
from batch_runner.report.page import SCRIPTS
from batch_runner.report.problems import Owner
from batch_runner.report.thumbnails import ImageState
from batch_runner.report.words import WORDS, page_words


def test_words_are_translated() -> None:
    words = page_words()

    assert words["en"] == WORDS
    assert words["zh"].keys() == WORDS.keys()
    assert words["zh"]["sheet"] == "图片一览"


def test_every_status_event_and_owner_has_a_word() -> None:
    needed = {
        *(f"status_{status.value}" for status in ItemStatus),
        *(f"event_{event.value}" for event in Event),
        *(f"owner_{owner.value}" for owner in Owner),
        *(f"advice_{owner.value}" for owner in Owner),
        *(
            f"image_{state.value}"
            for state in set(ImageState) - {ImageState.SHOWN, ImageState.OTHER}
        ),
        *(f"kind_{kind}" for kind in (*DEFAULT_KINDS, *MAYBE_ERROR_PAGE)),
        *(f"why_{name}" for name in ("resolve", "retry", "run")),
    }

    assert needed - WORDS.keys() == set()


def test_words_of_the_scripts_exist() -> None:
    static = package_files("batch_runner.report").joinpath("static")
    names = (*SCRIPTS, "page.html", "share.js")
    text = "".join(static.joinpath(name).read_text("utf-8") for name in names)

    named = set(re.findall(r"""(?:\bsay\(|data-say=)['"](\w+)['"]""", text))

    assert named - WORDS.keys() == set()
