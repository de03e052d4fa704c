"""The files of one completed task while they are downloaded; no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batch_runner.errors import ApiError, FileNotAccepted, FileRejected
from batch_runner.models import PlacedFile
from batch_runner.storage.base import SetAside

Problem = ApiError | FileRejected
_NOTHING = SetAside()


@dataclass(slots=True)
class ResultFile:
    """One file: its name without extension, and what became of it so far in this run."""

    name: str
    placed: PlacedFile | None = None
    problem: Problem | None = None  # of the last try; None: none, or not tried
    aside: SetAside = _NOTHING

    @property
    def settled(self) -> bool:
        """Return whether another try in this run is of no use."""
        if self.placed is not None:
            return True
        if not isinstance(self.problem, FileNotAccepted):
            return False
        return self.problem.certain or self.aside.again

    def describe(self) -> str:
        """Return the problem as a sentence."""
        kept = f"; the bytes are kept in {self.aside.place}" if self.aside.place else ""
        return f"{self.problem}{kept}"


def files_of(name: str, count: int) -> list[ResultFile]:
    """Return `count` files of one item: `name`, or `name`-1, `name`-2 and so on."""
    if count == 1:
        return [ResultFile(name)]
    return [ResultFile(f"{name}-{number}") for number in range(1, count + 1)]


def next_problem(results: Sequence[ResultFile]) -> Problem | None:
    """Return the problem that decides about the next try, None if no file needs one.

    A failed request comes before a file that is not as it should be: it may concern all files.
    """
    problems = [one.problem for one in results if one.problem and not one.settled]
    failed = (one for one in problems if isinstance(one, ApiError))
    return next(failed, problems[0] if problems else None)


def describe(results: Sequence[ResultFile]) -> str:
    """Return the problems of all files as one sentence, "" if there is none."""
    problems = [one for one in results if one.problem is not None and one.placed is None]
    if len(results) == 1:
        return problems[0].describe() if problems else ""
    sentences = [f"{one.name}: {one.describe()}" for one in problems]
    stored = sum(one.placed is not None for one in results)
    if stored:
        sentences.insert(0, f"{stored} of {len(results)} files are stored")
    return "; ".join(sentences)
