"""The words of the report in both languages."""

from __future__ import annotations

import re
from importlib.resources import files as package_files

import pytest

from batch_runner.lifecycle import Event, ItemStatus
from batch_runner.report.problems import Owner
from batch_runner.report.thumbnails import ImageState


def words(language: str) -> set[str]:
    text = package_files("batch_runner.report").joinpath("static/words.js").read_text("utf-8")
    block = text.partition(f"\n  {language}: {{")[2].partition("\n  },")[0]
    return set(re.findall(r"(\w+): '", block))


def test_both_languages_have_the_same_words() -> None:
    assert words("en") == words("zh")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_status_event_and_owner_has_a_word(language: str) -> None:
    needed = {
        *(f"status_{status.value}" for status in ItemStatus),
        *(f"event_{event.value}" for event in Event),
        *(f"owner_{owner.value}" for owner in Owner),
        *(f"advice_{owner.value}" for owner in Owner),
        *(f"image_{state.value}" for state in ImageState if state is not ImageState.SHOWN),
        *(f"why_{name}" for name in ("resolve", "retry", "run")),
    }

    assert needed - words(language) == set()
