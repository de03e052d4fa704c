"""The page's words: both languages say everything that can happen."""

from __future__ import annotations

import re
from importlib.resources import files as package_files

import pytest

from batch_runner.lifecycle import Event, ItemStatus
from batch_runner.report.thumbnails import PictureState
from batch_runner.report.triage import Owner


def words(language: str) -> set[str]:
    text = package_files("batch_runner.report").joinpath("static/words.js").read_text("utf-8")
    block = text.partition(f"\n  {language}: {{")[2].partition("\n  },")[0]
    return set(re.findall(r"(\w+): '", block))


def test_both_languages_have_the_same_words() -> None:
    assert words("en") == words("zh")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_everything_that_can_happen_has_a_word(language: str) -> None:
    needed = {
        *(f"status_{status.value}" for status in ItemStatus),
        *(f"event_{event.value}" for event in Event),
        *(f"fixer_{fixer.value}" for fixer in Owner),
        *(f"advice_{fixer.value}" for fixer in Owner),
        *(f"picture_{state.value}" for state in PictureState if state is not PictureState.SHOWN),
        *(f"why_{verb}" for verb in ("resolve", "retry", "run")),
    }

    assert needed - words(language) == set()
