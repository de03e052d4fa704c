"""The pictures of tasks, drawn when they are first requested."""

from __future__ import annotations

from functools import lru_cache

from batch_runner.simulator.pictures import draw_card, draw_noise
from batch_runner.simulator.settings import SimulatorSettings
from batch_runner.simulator.tasks import Task

# Enough for one page of the report; beyond that drawing again is cheaper than the memory.
KEPT_PICTURES = 128


class ImageCache:
    """Returns the PNG of every output of every task, the same one each time."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._seed = settings.seed
        self._size = settings.image_size
        self._noise = None if settings.image_bytes is None else draw_noise(settings.image_bytes)
        self._draw = lru_cache(KEPT_PICTURES)(draw_card)

    def png(self, task: Task, number: int) -> bytes:
        """Return picture `number` (from 1) of `task`."""
        if self._noise is not None:
            return self._noise
        return self._draw(task.prompt, f"{self._seed}:{task.seed}:{number}", self._size)
