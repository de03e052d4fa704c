"""What is known about one workflow at one service, and when that makes a look worth its price.

Four clocks, each with a hazard of its own (see `durations`):

* `turn`: since the task came within the width of the line (see `frontier`), in seconds. Where
  nothing queues, that is the moment of its submission;
* `wait`: since submission, for tasks whose turn has not come. Little ends there, so the looks are
  far apart: the safety round that finds a service working out of order, or failing tasks at once;
* two for the service's own `progress`, in parts of the time it says is left: one for what a single
  report says, one for what the slope between two reports says.

Progress is used only while its predictions hold. Each look is foretold both ways, by the turn's
clock and by progress, and the two are compared by how probable each held what was then seen. A
service that lies, or is stuck at 37, loses that comparison within some ten looks.
"""

from __future__ import annotations

import json
import math
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from batch_runner.durations import Durations
from batch_runner.frontier import End, Line, Width

if TYPE_CHECKING:
    from batch_runner.models import InFlight
    from batch_runner.settings import Polling

_VERSION = 1
_PROVEN = 3.0  # nats by which progress must have foretold better before it is believed
_MOST_PROVEN = 20.0  # and what it can save up, so that a service that starts to lie is found out
_SURPRISE = 3.0  # nats that one look counts, at most
_LEAST_LEFT = 0.2  # seconds; progress is seldom finer
_WAITING = 60.0  # times `longest`: between two looks at a task whose turn has not come, at most
_KEPT = 200  # durations
_CHANGED, _LEAN = 25.0, 0.4  # finishes too many or too few that say the service has changed
_FADED = 0.05  # what is left of what was learned then


class Sighting(NamedTuple):
    """What a task's progress said: where it was first seen, and what is left at the last look."""

    first_at: float
    first: float
    last: float
    left: float  # seconds
    sloped: bool  # told by two reports, not one


class Watched:
    """One task on the schedule. Small: there are many."""

    __slots__ = ("looked", "number", "sighting", "task", "ticket", "turn")

    def __init__(self, task: InFlight, *, seen_before: bool) -> None:
        self.task = task
        self.number = -1  # in its workflow's line
        self.turn: float | None = None  # when it came within the width; None while it waits
        # When it was last known to be going; None when an earlier run may have looked: what the
        # next look finds then says nothing about how long it took.
        self.looked: float | None = None if seen_before else task.since
        self.sighting: Sighting | None = None
        self.ticket: tuple[float, int, Watched] | None = None  # its place among the due looks


class Forecast:
    """What is known about one workflow. Every moment is loop time."""

    def __init__(self, polling: Polling, learned: str | None = None) -> None:
        self._polling = polling
        self._turn = Durations()
        self._wait = Durations(trust=5.0, pooled=True)
        self._left = (
            Durations(shortest=0.02, longest=1000),
            Durations(shortest=0.02, longest=1000),
        )
        self._proof = [0.0, 0.0]  # nats by which progress, one report or two, foretold better
        self._width = Width()
        self._more = self._fewer = 0.0  # ends beyond what was foretold, and short of it
        self._forgot = False  # and nobody has been told yet
        self._seconds: deque[float] = deque(maxlen=_KEPT)
        self.line: Line[Watched] = Line()
        self._edge = 0  # the first number beyond the width
        if learned is not None:
            self._restore(learned)

    def add(self, watched: Watched) -> None:
        """Put a new task at the end of the line."""
        watched.number = self.line.append(watched)
        width = self._width.value
        if width is None or len(self.line) <= width:
            watched.turn = watched.task.since
            self._edge = watched.number + 1

    def come_of_turn(self, now: float) -> list[Watched]:
        """Return the tasks that have come within the width since the last call."""
        width = self._width.value
        edge = self.line.number_at(len(self.line) if width is None else width)
        came = [w for w in self.line.between(self._edge, edge) if w.turn is None]
        for watched in came:
            watched.turn = watched.task.since if width is None else now
        self._edge = edge
        return came

    def send_back(self, watched: Watched) -> bool:
        """Return whether the width has shrunk so that the task waits again."""
        if watched.turn is None or watched.number < self._edge or watched.looked is None:
            return False
        watched.turn = None
        watched.sighting = None
        return True

    def going(self, watched: Watched, now: float, progress: float | None) -> bool:
        """Learn that the task was still going at a look; return whether the line must move up."""
        if watched.looked is not None:
            self._survived(watched, now)
        watched.looked = now
        watched.sighting = _sighting(watched, now, progress)
        moved, self._forgot = self._forgot, False
        return moved

    def ended(self, watched: Watched, now: float) -> None:
        """Learn that the task was found finished at a look, and take it out of the line."""
        rank = self.line.remove(watched.number)
        self._width.left(now)
        if (looked := watched.looked) is None:
            return
        since, turn = watched.task.since, watched.turn
        self._seconds.append((looked + now) / 2 - since)
        if self._width.note(End(watched.number, since, looked, now), rank):
            self._relearn()
            return
        if turn is None:
            self._wait.ended(looked - since, now - since)
            return
        if looked < turn:
            self._wait.survived(looked - since, turn - since)
        self._weigh(watched, now, ended=True)
        self._compare(watched, now, ended=True)
        self._turn.ended(max(0.0, looked - turn), now - turn)

    def forget(self, watched: Watched, now: float) -> None:
        """Take the task out of the line; nothing is learned."""
        self.line.remove(watched.number)
        self._width.left(now)

    def next_look(self, watched: Watched, now: float, random: float) -> tuple[float, float]:
        """Return when the next look is worth its price, and the spacing that leads there.

        `random` (about 1) stretches the spacing: tasks submitted together drift apart, and the
        learner sees more than the same few ages.
        """
        looked = watched.looked
        if looked is None:
            return now, self._polling.shortest
        polling, since, turn = self._polling, watched.task.since, watched.turn
        price = polling.cost * random
        longest = polling.longest
        if turn is None:
            origin = looked
            longest *= _WAITING
            due = since + self._wait.next_look(max(0.0, looked - since), price)
        elif (clock := self._believed(watched)) is not None and watched.sighting is not None:
            origin, left = looked, watched.sighting.left
            due = looked + left * clock.next_look(0.0, price / left)
        else:
            origin = max(looked, turn)
            due = turn + self._turn.next_look(origin - turn, price)
        due = max(min(due, origin + longest), looked + polling.shortest, since + polling.first)
        return due, due - origin

    def typical(self, share: float) -> float | None:
        """Return the seconds from submission within which `share` of tasks finish, if known."""
        if not self._seconds:
            return None
        return sorted(self._seconds)[min(len(self._seconds) - 1, int(len(self._seconds) * share))]

    def learned(self) -> str:
        """Return what is known, as JSON, for the next run."""
        state = {
            "version": _VERSION,
            "turn": self._turn.state(),
            "wait": self._wait.state(),
            "left": [clock.state() for clock in self._left],
            "proof": [round(proof, 3) for proof in self._proof],
            "seconds": [round(seconds, 2) for seconds in self._seconds],
        }
        return json.dumps(state, separators=(",", ":"))

    def _restore(self, learned: str) -> None:
        try:
            state: dict[str, Any] = json.loads(learned)
            if state["version"] != _VERSION:
                return
            self._turn.restore(state["turn"])
        except (ValueError, TypeError, KeyError, AttributeError):
            return

    def _survived(self, watched: Watched, now: float) -> None:
        looked, turn, since = watched.looked, watched.turn, watched.task.since
        if looked is None:
            return
        if turn is None:
            self._wait.survived(looked - since, now - since)
            return
        if looked < turn:
            self._wait.survived(looked - since, turn - since)
        self._weigh(watched, now, ended=False)
        self._compare(watched, now, ended=False)
        self._turn.survived(max(0.0, looked - turn), now - turn)

    def _relearn(self) -> None:
        """Learn the clocks anew from the last finishes, as if the width had always been so."""
        self._turn, self._wait = Durations(), Durations(trust=5.0, pooled=True)
        for end in self._width.ends:
            turn = self._width.turn(end.number, end.since)
            if turn is None or end.found <= turn:
                self._wait.survived(0.0, end.looked - end.since)
                self._wait.ended(end.looked - end.since, end.found - end.since)
                continue
            self._wait.survived(0.0, turn - end.since)
            known = max(0.0, end.looked - turn)
            self._turn.survived(0.0, known)
            self._turn.ended(known, end.found - turn)
        for watched in self.line.between(0, self._edge):
            watched.turn = self._width.turn(watched.number, watched.task.since)

    def _believed(self, watched: Watched) -> Durations | None:
        """Return the clock of the task's progress while it foretells better than the turn's."""
        sighting = watched.sighting
        if sighting is None or self._proof[sighting.sloped] < _PROVEN:
            return None
        return self._left[sighting.sloped]

    def _compare(self, watched: Watched, now: float, *, ended: bool) -> None:
        """Watch whether tasks end as often as foretold; if not, the service has changed.

        Two sums (CUSUM): how many more looks found the end than foretold, and how many fewer. Each
        leans back by a part of what is foretold, so that chance alone seldom carries it far.
        """
        if watched.looked is None or watched.turn is None:
            return
        start = max(0.0, watched.looked - watched.turn)
        foretold = -math.expm1(-self._turn.gone(start, now - watched.turn))
        self._more = max(0.0, self._more + ended - foretold * (1 + _LEAN))
        self._fewer = max(0.0, self._fewer + foretold * (1 - _LEAN) - ended)
        if max(self._more, self._fewer) > _CHANGED:
            self._more = self._fewer = 0.0
            self._forgot = True
            self._turn.fade(_FADED)
            self._wait.fade(_FADED)
            self._width.forget()
            self._proof = [0.0, 0.0]

    def _weigh(self, watched: Watched, now: float, *, ended: bool) -> None:
        """Compare what progress and the turn's clock foretold for this look; learn the former."""
        sighting, looked, turn = watched.sighting, watched.looked, watched.turn
        if sighting is None or looked is None or turn is None:
            return
        clock, passed = self._left[sighting.sloped], (now - looked) / sighting.left
        by_turn = self._turn.gone(max(0.0, looked - turn), now - turn)
        by_progress = clock.gone(0.0, passed)
        gain = _log_ended(by_progress) - _log_ended(by_turn) if ended else by_turn - by_progress
        gain = max(-_SURPRISE, min(_SURPRISE, gain))
        self._proof[sighting.sloped] = max(
            -_MOST_PROVEN, min(_MOST_PROVEN, self._proof[sighting.sloped] + gain)
        )
        if ended:
            clock.ended(0.0, passed)
        else:
            clock.survived(0.0, passed)


def _log_ended(hazard: float) -> float:
    """Return the log of the probability to end within a stretch of that much hazard."""
    return math.log(max(1e-300, -math.expm1(-hazard)))


def _sighting(watched: Watched, now: float, progress: float | None) -> Sighting | None:
    """Return what a report of progress says about the time that is left."""
    if progress is None or watched.turn is None or not 0 < progress <= 1:
        return None
    before = watched.sighting
    if before is not None and progress > before.first and progress >= before.last:
        slope = (progress - before.first) / (now - before.first_at)
        left = (1 - progress) / slope
        left = max(left, _LEAST_LEFT)
        return Sighting(before.first_at, before.first, progress, left, sloped=True)
    left = (now - watched.turn) * (1 - progress) / progress
    return Sighting(now, progress, progress, max(left, _LEAST_LEFT), sloped=False)
