from __future__ import annotations

import pytest

from batch_runner.util.fullwidth import ascii_form, ascii_hint, first_sign


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("，：［］｛｝＃－；＝（）？．％／", ",:[]{}#-;=()?.%/"),
        ("“a”‘b’、。—【】\u3000\u00a0", "\"a\"'b',.-[]  "),
        ("Ａｚ０９", "Az09"),
        ("马 horse é", "马 horse é"),
    ],
)
def test_full_width_text_has_an_ascii_form(text: str, typed: str) -> None:
    assert ascii_form(text) == typed


def test_hint_names_each_sign_once() -> None:
    assert ascii_hint("a：b：c\u3000") == (
        "type : for ： and a space for U+3000 (half-width, in ASCII)"
    )


@pytest.mark.parametrize("text", ["", "a: b", "马"])
def test_text_without_full_width_signs_has_no_hint(text: str) -> None:
    assert ascii_hint(text) is None
    assert first_sign(text) == ""
