"""Greeting cards drawn from a prompt and a seed, and noise of a given size."""

from __future__ import annotations

from batch_runner.simulator.pictures.card import draw_card
from batch_runner.simulator.pictures.noise import draw_noise

__all__ = ["draw_card", "draw_noise"]
