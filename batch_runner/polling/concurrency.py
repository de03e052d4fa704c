"""In what order a service finishes, and so how far down the line it is worth asking.

A service with a few workers takes tasks roughly in the order they came: a task far behind the
newest finished one has not been started. `RankedTasks` keeps the unfinished tasks of one workflow
in order of submission and knows each one's rank (how many before it are unfinished) in O(log n), by
a Fenwick tree over submission numbers. `ConcurrencyEstimator` learns from what ends, and when, how
many of the line are in work at once. The two together are the frontier: whoever stands within the
width has its turn; the others wait.

A service that works out of order finishes tasks of any rank; then the width grows to the whole
line, and everybody has their turn from the first moment. The width errs on the large side: twice
too wide costs a tenth, too narrow costs delay. Worse, where nobody queues at the service they then
queue for our looks, end in order, and make the width true. So when the first look at whoever has
just had their turn keeps finding an end, one who still waits is looked at now and then; if that one
has ended as well, the next is looked at at once, and the width grows until one is found going. A
poll limit that binds makes ranks look larger than they are, never smaller; so they bound the widths
that are tried, and do not choose among them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

_FEWEST, _FEWEST_AGAIN = 8, 60  # finishes before the width says anything, and after a change
_REMEMBERED = 250  # finishes
_MOST_LEFT = 5000  # departures remembered
_WIDEST = 2000  # of the widths that are tried
_FACTOR = 4  # times the rank below which four of five finish: the widest worth trying
_HOPELESS = 3.0  # times the least cost, where trying narrower ones ends
_EARLY = 1.3  # how much dearer it is to find what ended before its turn
_BETTER = 0.95  # a width is left only for one that costs less than this part
_SLIGHT = 0.02  # times the quickest task: a gain for which no queue is assumed where none was


class RankedTasks(Generic[T]):
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
        covered, start = 1, position & (position - 1)
        # A new node of a Fenwick tree covers the slots from `start` on that end at it.
        child = position - 1
        while child > start:
            covered += self._tree[child]
            child &= child - 1
        self._tree.append(covered)
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
        if rank >= self._count:
            return self._first + len(self._slots)
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


class Completion(NamedTuple):
    """One task that was found finished: going at `looked`, ended at `found`."""

    number: int
    since: float
    looked: float
    found: float


class ConcurrencyEstimator:
    """How many tasks at the head of the line are in work at once, learned from what finishes.

    Of several widths that one is taken under which the looks would cost least, had it been so all
    along: A² ÷ 2 for the times from turn to end, with what ended before its turn counted by its
    age. Where nothing queues that is the whole line.
    """

    def __init__(self) -> None:
        self.value: int | None = None  #: None while everybody counts as in work
        self.ends: deque[Completion] = deque(maxlen=_REMEMBERED)
        self._left: deque[float] = deque(maxlen=_MOST_LEFT)  # when the line became shorter
        self._left_before = 0  # how often before the first of these
        self._noted = 0
        self._ranks: deque[int] = deque(maxlen=_REMEMBERED)
        self._due = _FEWEST  # finishes noted until the next decision
        self._quickest = math.inf  # seconds from a submission to the sighting of the end

    def left(self, now: float) -> None:
        """Note that a task left the line, for whatever reason."""
        if len(self._left) == _MOST_LEFT:
            self._left_before += 1
        self._left.append(now)

    def note(self, end: Completion, rank: int, length: int) -> bool:
        """Note a finish, its rank, and how long the line is; return whether the width has moved."""
        self.ends.append(end)
        self._quickest = min(self._quickest, end.found - end.since)
        self._noted += 1
        self._ranks.append(rank)
        if self._noted < self._due:
            return False
        self._due = self._noted + max(1, min(self._noted // 4, _REMEMBERED * 4))
        return self._settle(length)

    def forget(self) -> None:
        """Forget what was learned: the service has changed."""
        self.ends.clear()
        self._ranks.clear()
        self.value, self._noted, self._due, self._quickest = None, 0, _FEWEST_AGAIN, math.inf

    def widen(self) -> None:
        """Take half as many again to be in work."""
        if self.value is not None:
            self.value += 1 + self.value // 2

    def inherit(self, value: int | None) -> None:
        """Begin with what an earlier run found; judge it later than a width found just now."""
        self.value, self._due = value, 3 * _FEWEST

    def turn(self, number: int, since: float) -> float | None:
        """Return when the turn of a task came under the present width, None while it waits."""
        if self.value is None or number < self.value:
            return since
        index = number - self.value - self._left_before
        return max(since, self._left[max(0, index)]) if index < len(self._left) else None

    def _settle(self, length: int) -> bool:
        widths: list[int | None] = []
        costs: list[float] = []
        usual = sorted(self._ranks)[len(self._ranks) * 4 // 5]
        left = list(self._left)
        width = widest = min(_FACTOR * (usual + 1), _WIDEST)
        while width > 0 and (not costs or costs[-1] < min(costs) * _HOPELESS):
            widths.append(width)
            costs.append(self._cost(width, left))
            width = width * 4 // 5
        if widest >= length:
            widths.append(None)
            costs.append(self._cost(None, left))
        enough = min(costs) / _BETTER
        if self.value is None:  # tasks that are alike cost next to nothing under any width
            enough += _SLIGHT * self._quickest
        if self._cost(self.value, left) <= enough:
            return False
        # The widest of those that are about as good: too wide costs less than too narrow.
        self.value = next(w for w, cost in zip(widths, costs, strict=True) if cost <= enough)
        return True

    def _cost(self, width: int | None, left: list[float]) -> float:
        """Return polls × delay of the ends known, were this the width; `left` is `_left`."""
        in_turn, early = [], []
        known, before = len(left), (width or 0) + self._left_before
        for number, since, looked, found in self.ends:
            ended, turn = (looked + found) / 2, since
            if width is not None and number >= width:
                index = number - before
                turn = left[index if index > 0 else 0] if index < known else math.inf
                turn = since if turn < since else turn
            if turn <= ended:
                in_turn.append(ended - turn)
            else:
                early.append(ended - since)
        share = len(in_turn) / len(self.ends)
        surprise = _EARLY * math.sqrt(1 - share) * _area(early) if early else 0.0
        return (share * _area(in_turn, dying=True) + surprise) ** 2 / 2


def _area(times: list[float], *, dying: bool = False) -> float:
    """Return ∫√(f·S) of the density f the times were drawn from, by the gaps between them.

    S is their survival when `dying`, else 1. Of many gaps, some eighty are enough.
    """
    times = [0.0, *sorted(times)]
    count = len(times)
    apart = max(1, math.isqrt(count - 1))
    if count <= apart:
        return 0.0
    step = 1 + count // 80
    gaps = [b - a for a, b in zip(times[::step], times[apart::step], strict=False)]
    if dying:
        first = count - apart / 2  # how many are left at the middle of the first gap
        gaps = [gap * (first - i * step) / count for i, gap in enumerate(gaps)]
    scale = count / apart
    return sum(map(math.sqrt, gaps)) * math.sqrt(scale) / len(gaps)
