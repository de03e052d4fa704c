"""The pictures are valid, depend only on prompt and seed, and take any prompt."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from batch_runner.simulator.pictures import draw_card, draw_noise
from batch_runner.simulator.pictures.card import SCENES
from batch_runner.simulator.pictures.fonts import font_file_for

SMALL = (160, 200)


def pixels(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


def test_same_prompt_and_seed_give_the_same_picture() -> None:
    assert draw_card("a horse in snow", "1", SMALL) == draw_card("a horse in snow", "1", SMALL)


def test_another_prompt_or_seed_gives_another_picture() -> None:
    cards = {draw_card(*case, SMALL) for case in (("a", "1"), ("a", "2"), ("b", "1"))}

    assert len(cards) == 3


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        " ",
        "word " * 400,
        "unbreakable" * 60,
        "马年大吉" * 200,
        "\x1b[2J\x00\u202e\u200d",
        "🐎 שלום \u0378 \U00012000",
        "[gallery]/{{ n }}\nsecond line",
    ],
)
def test_any_prompt_can_be_drawn(prompt: str) -> None:
    assert pixels(draw_card(prompt, "1", SMALL)).size == SMALL


@pytest.mark.parametrize("size", [(64, 64), (400, 100), (100, 400)])
def test_every_scene_fits_every_proportion(size: tuple[int, int]) -> None:
    prompts = [words.split("|")[-1] + " 马" for words in SCENES.values()]

    assert {pixels(draw_card(prompt, "1", size)).size for prompt in prompts} == {size}


def test_character_in_no_font_is_detected() -> None:
    assert font_file_for("\u0378") is False
    assert font_file_for("a") is not False


@pytest.mark.parametrize("size", [100, 1_000, 10_000, 1_000_000])
def test_noise_has_about_the_given_size(size: int) -> None:
    png = draw_noise(size)

    assert len(png) == pytest.approx(size, rel=0.2)
    assert pixels(png).format == "PNG"
