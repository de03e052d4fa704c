"""In what order a service finishes, and so how far down the line it is worth asking.

A service with a few workers takes tasks roughly in the order they came: a task far behind the
newest finished one has not been started. `Line` keeps the unfinished tasks of one workflow in
order of submission and knows each one's rank (how many before it are unfinished) in O(log n), by a
Fenwick tree over submission numbers. `Width` learns from the ranks at which tasks were found
finished how many of the line are in work at once. The two together are the frontier: whoever
stands within the width has its turn; the others wait.

A service that works out of order is found finished at any rank; then the width grows to the whole
line, and everybody has their turn from the first moment. The width errs on the large side: three
times too wide costs a few per cent, too narrow costs delay.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")

_FEWEST = 8  # ranks seen before the width says anything
_REMEMBERED = 150  # finishes
_EVERY = 10  # finishes between two decisions
_MOST_LEFT = 5000
_NARROWEST = 4
_BETTER = 0.95  # how much more equal times must be to move the width


class Line(Generic[T]):
    """Unfinished tasks in order of submission, numbered from 0."""

    def __init__(self) -> None:
        self._first = 0  # number of the slot 0
        self._slots: list[T | None] = []
        self._tree: list[int] = [0]  # Fenwick: 1-based counts of taken slots
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, task: T) -> int:
        """Put a task at the end and return its number."""
        if len(self._slots) >= 1024 and self._count < len(self._slots) // 2:
            self._drop_finished_head()
        self._slots.append(task)
        position = len(self._slots)
        lowest = position & -position
        # A new node of a Fenwick tree covers the `lowest` slots that end at it.
        self._tree.append(1 + self._before(position - 1) - self._before(position - lowest))
        self._count += 1
        return self._first + position - 1

    def remove(self, number: int) -> int:
        """Take a task out and return the rank it had: how many before it are unfinished."""
        position = number - self._first + 1
        rank = self._before(position - 1)
        self._slots[position - 1] = None
        self._count -= 1
        while position < len(self._tree):
            self._tree[position] -= 1
            position += position & -position
        return rank

    def number_at(self, rank: int) -> int:
        """Return the number of the task of that rank; of none, one past the last number."""
        position, left = 0, rank
        step = 1 << (len(self._tree).bit_length() - 1)
        while step:
            further = position + step
            if further < len(self._tree) and self._tree[further] <= left:
                position, left = further, left - self._tree[further]
            step >>= 1
        return self._first + position

    def between(self, start: int, end: int) -> Iterator[T]:
        """Yield the unfinished tasks numbered from `start` up to and without `end`."""
        for task in self._slots[max(0, start - self._first) : max(0, end - self._first)]:
            if task is not None:
                yield task

    def _before(self, position: int) -> int:
        count = 0
        while position:
            count += self._tree[position]
            position &= position - 1
        return count

    def _drop_finished_head(self) -> None:
        """Forget the finished slots at the head, so that a long night stays small."""
        head = self.number_at(0) - self._first
        if head < len(self._slots) // 4:
            return
        self._first += head
        del self._slots[:head]
        self._tree = [0] * (len(self._slots) + 1)
        for position, task in enumerate(self._slots, start=1):
            self._tree[position] += task is not None
            above = position + (position & -position)
            if above < len(self._tree):
                self._tree[above] += self._tree[position]


class _End(NamedTuple):
    """One task that was found finished."""

    number: int
    rank: int
    since: float
    ended: float


class Width:
    """How many tasks at the head of the line are in work at once, learned from what finishes.

    Of several widths that one is taken under which tasks, counted from their turn, take the most
    equal time. Where nothing queues that is the whole line.
    """

    def __init__(self, ends: Iterable[_End] = ()) -> None:
        self._ends = deque(ends, maxlen=_REMEMBERED)
        self._left: deque[float] = deque(maxlen=_MOST_LEFT)  # when the line became shorter
        self._left_before = 0  # how often before the first of these
        self._noted = 0
        self._value: int | None = None

    @property
    def value(self) -> int | None:
        """Return the width, None while everybody counts as in work."""
        return self._value

    def left(self, now: float) -> None:
        """Note that a task left the line, for whatever reason."""
        if len(self._left) == _MOST_LEFT:
            self._left_before += 1
        self._left.append(now)

    def note(self, number: int, rank: int, since: float, ended: float) -> None:
        """Note a finish: its number and rank in the line, when it was submitted and ended."""
        self._ends.append(_End(number, rank, since, ended))
        self._noted += 1
        if len(self._ends) >= _FEWEST and (self._noted % _EVERY == 0 or self._noted < _REMEMBERED // 4):
            self._settle()

    def _settle(self) -> None:
        ranks = sorted(end.rank for end in self._ends)
        width = max(_NARROWEST, ranks[len(ranks) * 4 // 5] * 2)
        widest = ranks[-1] * 4 + _NARROWEST
        widths: list[int | None] = []
        while width < widest:
            widths.append(width)
            width = width * 6 // 5 + 1
        widths.append(None)
        spreads = [self._spread(width) for width in widths]
        least = min(spreads)
        good = [w for w, spread in zip(widths, spreads, strict=True) if spread * _BETTER <= least]
        if self._value not in good and self._spread(self._value) * _BETTER > least:
            self._value = good[-1]

    def _spread(self, width: int | None) -> float:
        """Return how unequal the times from turn to end are, in seconds."""
        times = sorted(end.ended - self._turn(end, width) for end in self._ends)
        median = times[len(times) // 2]
        return sum(abs(seconds - median) for seconds in times) / len(times)

    def _turn(self, end: _End, width: int | None) -> float:
        if width is None or end.number < width:
            return end.since
        index = end.number - width - self._left_before
        if index >= len(self._left):
            return max(end.since, self._left[-1])
        return max(end.since, self._left[max(0, index)])
