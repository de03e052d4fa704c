"""How long things take, learned from looks that never see the moment itself.

A look finds a task still going or finished: the end lies somewhere between two looks, and for what
is in flight it has not come yet. So the learner keeps, for each stretch of a clock, two sums: how
often something ended there (`ends`) and how often it was there to end (`at risk`). Their ratio is
the hazard, from which everything else follows. A task seen going adds to `at risk` up to that
look: what is unfinished counts from the first day. A finish between two looks is shared out over
the stretches between them as the present hazard says (the E step of EM, one observation at a
time); counting it at either end instead would feed the learner its own looks, and its durations
would ratchet upwards.

The stretches are geometric, 6 % each as a rule, so one table serves seconds and hours. Old
observations fade, so a service that has changed is learned anew. Before anything is known the
hazard is that of a scale-free guess, k ÷ t: what has taken a minute may well take another.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import Any

_GRAIN = 0.06  # width of one stretch, as a part of the time it begins at
_MEMORY = 400.0  # finishes after which an observation counts 1/e
_GROWTH = math.exp(1 / _MEMORY)  # of an observation's weight over the one before
_KERNEL = (0.06, 0.24, 0.4)  # of the next but one stretch, the next, this one, when smoothing
_FRESH = 0.15  # part of the observations that is worth new tables
_QUIET = 0.0001  # part of the ends between two looks that may be taken for none
_MOST_GONE = 15.0  # cumulated hazard, beyond which hardly anybody is left
_FEW_LEFT, _STEPS = 0.05, 8  # part still going that one look will do for; moments that are tried
_INHERITED = 100  # finishes that all earlier runs together weigh, at most


class HazardModel:
    """The hazard of one kind of duration, over a clock that runs from 0 to `longest`.

    All that is under `shortest` is one stretch, then each is longer by `grain` than the one before.
    `guess` is k of the hazard k ÷ t believed before anything is seen, `trust` how many tasks in
    each stretch it takes to outweigh it. `pooled` believes instead, where a stretch has little to
    say, what all stretches together say: for clocks on which next to nothing ends.
    """

    def __init__(
        self,
        *,
        shortest: float = 0.25,
        longest: float = 200_000.0,
        grain: float = _GRAIN,
        guess: float = 1.0,
        trust: float = 0.2,
        pooled: bool = False,
    ) -> None:
        self._grain = math.log1p(grain)
        count = math.ceil(math.log(longest / shortest) / self._grain)
        self._edges = [0.0] + [shortest * math.exp(self._grain * i) for i in range(count)]
        past = shortest * math.exp(self._grain * count)
        self._widths = [b - a for a, b in pairwise([*self._edges, past])]
        self._guess = guess
        self._trust = trust
        self._pooled = pooled
        self._ends = [0.0] * len(self._edges)
        self._at_risk = [0.0] * len(self._edges)
        self._entered = [0.0] * len(self._edges)  # what is still to be added from here on
        self._weight = 1.0  # of the next observation; grows, which makes old ones fade
        self.seen = 0  #: finishes observed
        self._news, self._enough = 1, 1.0  # observations since the tables were built, and wanted
        self._hazard: list[float] = []  # of each stretch, a second
        self._gone: list[float] = []  # cumulated hazard at each edge
        self._alive: list[float] = []  # survival at each edge
        self._lived: list[float] = []  # its integral up to each edge
        self._quantiles: dict[float, float] = {}  # asked for since the tables were built

    def survived(self, start: float, end: float) -> float:
        """Note a task that was going at `start` and still at `end`.

        Returns the hazard cumulated in between, as it was believed so far: −log of the odds.
        """
        self._refresh()
        self._news += 1
        (first, before), (last, gone) = self._cumulated(start), self._cumulated(end)
        self._present(first, start, last, end)
        return gone - before

    def ended(self, start: float, end: float) -> float:
        """Note a task that was going at `start` and found finished at `end`.

        Returns the hazard cumulated in between, as it was believed so far.
        """
        self._refresh()
        (first, before), (last, gone) = self._cumulated(start), self._cumulated(end)
        alive, over = math.exp(-before), math.exp(-gone)
        if alive <= over or before > _MOST_GONE:  # no time has passed, or nobody lasted so long
            self._ends[last] += self._weight
        else:
            ending = before + _QUIET * min(1.0, gone - before)
            quiet = bisect_right(self._gone, ending, first, last + 1) - 1
            if quiet > first:  # up to here as good as nobody ends: it was there, and that is all
                self._present(first, start, quiet, self._edges[quiet])
                first, start, alive = quiet, self._edges[quiet], self._alive[quiet]
            weight = self._weight / (alive - over)
            stops = [*self._edges[first + 1 : last + 1], end]
            lefts = [*self._alive[first + 1 : last + 1], over]
            for stretch, (stop, left) in enumerate(zip(stops, lefts, strict=True), first):
                part = (stop - start) / self._widths[stretch]
                self._ends[stretch] += weight * (alive - left)
                self._at_risk[stretch] += weight * part * ((alive + left) / 2 - over)
                start, alive = stop, left
        self.seen += 1
        self._news += 1
        self._weight *= _GROWTH
        if self._weight > 1e12:
            self._rescale()
        return gone - before

    def next_look(self, at: float, price: float, *, shortest: float = 0.0) -> float:
        """Return the clock by which waiting since `at` has cost `price` seconds of delay.

        At each moment the task has ended unseen with some probability; its integral is the delay
        to be expected. Where the hazard h is even, that is a spacing of √(2 · price ÷ h). Where
        most end within `shortest`, the least spacing of two looks, it is the moment when one look
        is most likely to do.
        """
        self._refresh()
        stretch, gone = self._cumulated(at)
        if gone > _MOST_GONE:  # nothing known so late but the hazard; and S is lost to rounding
            return at + math.sqrt(2 * price / self._hazard[stretch])
        due = max(self._spaced(at, stretch, price), at + shortest)
        return self._past_the_peak(at, due, price, shortest) if shortest else due

    def _spaced(self, at: float, stretch: int, price: float) -> float:
        """Return when the delay to be expected since `at`, in that stretch, reaches `price`."""
        (alive, so_far), edges, lived = self._living(at), self._edges, self._lived
        # The delay up to an edge is ∫(1 − S(u) ÷ S(at)) du = edge − lived ÷ alive − start.
        start = at - so_far / alive
        low, high = stretch + 1, len(edges)
        while low < high:
            middle = (low + high) // 2
            if edges[middle] - lived[middle] / alive - start < price:
                low = middle + 1
            else:
                high = middle
        edge, ended = low - 1, 0.0
        if edge > stretch:
            price -= edges[edge] - lived[edge] / alive - start
            ended = 1 - self._alive[edge] / alive
            at = edges[edge]
        # Delay grows by ended · t + rate · t² ÷ 2; in this form the root holds where rate is 0.
        rate = (1 - ended) * self._hazard[edge]
        return at + 2 * price / (ended + math.sqrt(ended * ended + 2 * rate * price))

    def _past_the_peak(self, at: float, due: float, price: float, shortest: float) -> float:
        """Return when, from `due` on, to look so that the next look will hardly be needed.

        A look that comes a moment too early costs `shortest` seconds of delay. With S for survival
        and L for its integral, a look at t and, if need be, one `shortest` later come to
        t · S(at) + S(t) · (price + shortest) − L(t + shortest), but for a constant.
        """
        alive, (now, _) = self._living(at)[0], self._living(due)
        if now < _FEW_LEFT * alive or self._living(due + shortest)[0] > now / 2:
            return due
        least, best = math.inf, due
        for step in range(_STEPS + 1):
            look = due + shortest * step / _STEPS
            cost = look * alive + self._living(look)[0] * (price + shortest)
            cost -= self._living(look + shortest)[1]
            if cost < least:
                least, best = cost, look
        return best

    def _living(self, at: float) -> tuple[float, float]:
        """Return survival, and its integral, up to a moment."""
        stretch, gone = self._cumulated(at)
        alive = math.exp(-gone)
        return alive, self._lived[stretch] + (self._alive[stretch] - alive) / self._hazard[stretch]

    def quantile(self, share: float) -> float:
        """Return the clock by which `share` (0 to 1) of what starts has ended."""
        self._refresh()
        if (known := self._quantiles.get(share)) is None:
            wanted = -math.log(1 - share)
            stretch = max(0, min(bisect_right(self._gone, wanted) - 1, len(self._hazard) - 1))
            known = self._edges[stretch] + (wanted - self._gone[stretch]) / self._hazard[stretch]
            self._quantiles[share] = known
        return known

    def state(self) -> dict[str, object]:
        """Return what was learned, ready for JSON."""
        self._sum_up()
        ends = {str(i): round(v / self._weight, 4) for i, v in enumerate(self._ends) if v}
        risk = {str(i): round(v / self._weight, 4) for i, v in enumerate(self._at_risk) if v}
        return {"seen": self.seen, "ends": ends, "at_risk": risk}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what an earlier run learned, at most as much as a hundred new finishes say.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it is not what `state` returns.
        """
        ends = self._stretches(state["ends"])
        at_risk = self._stretches(state["at_risk"])
        scale = 1 / max(1.0, sum(ends) / _INHERITED)
        self._ends = [value * scale for value in ends]
        self._at_risk = [value * scale for value in at_risk]
        self._weight = 1.0
        self.seen = min(int(state["seen"]), _INHERITED)
        self._news, self._enough = 1, 1.0

    def _stretches(self, state: Mapping[str, float]) -> list[float]:
        values = [0.0] * len(self._edges)
        for key, value in state.items():
            stretch, number = int(key), float(value)
            if not (0 <= stretch < len(values) and 0 <= number < 1e12):
                raise ValueError(f"wanted a stretch and a count, not {key}: {value}")
            values[stretch] = number
        return values

    def _cumulated(self, at: float) -> tuple[int, float]:
        """Return the stretch of a moment, and the hazard cumulated up to it."""
        stretch = bisect_right(self._edges, at, 1) - 1
        gone = self._gone[stretch] + (at - self._edges[stretch]) * self._hazard[stretch]
        return stretch, gone

    def _present(self, first: int, start: float, last: int, end: float) -> None:
        """Count a task that was there to end from `start`, in one stretch, to `end`, in another."""
        weight = self._weight
        if first == last:
            self._at_risk[first] += weight * (end - start) / self._widths[first]
            return
        self._at_risk[first] += weight * (self._edges[first + 1] - start) / self._widths[first]
        self._at_risk[last] += weight * (end - self._edges[last]) / self._widths[last]
        # Those in between are wholly covered; summed up when the sums are next read.
        self._entered[first + 1] += weight
        self._entered[last] -= weight

    def _refresh(self) -> None:
        """Rebuild the tables when enough was seen since: at first always, later a seventh more."""
        if self._news < self._enough:
            return
        self._enough = min(self._enough + self._news * _FRESH, _MEMORY / 2)
        self._news = 0
        self._sum_up()
        ends, at_risk = _smoothed(self._ends), _smoothed(self._at_risk)
        trust = self._trust * self._weight
        guess = self._guess * self._grain
        if self._pooled:
            guess = (sum(ends) + self._weight * guess) / (sum(at_risk) + self._weight)
        self._hazard = [
            (end + trust * guess) / (risk + trust) / width
            for end, risk, width in zip(ends, at_risk, self._widths, strict=True)
        ]
        gone, lived, alive = 0.0, 0.0, 1.0
        self._gone, self._lived, self._alive, self._quantiles = [], [], [], {}
        for hazard, width in zip(self._hazard, self._widths, strict=True):
            self._gone.append(gone)
            self._lived.append(lived)
            self._alive.append(alive)
            gone += hazard * width
            left = math.exp(-gone)
            lived += (alive - left) / hazard
            alive = left

    def fade(self, share: float) -> None:
        """Let all that was seen count `share` of what it did: the service has changed."""
        self._sum_up()
        self.seen = int(self.seen * share)
        self._ends = [value * share for value in self._ends]
        self._at_risk = [value * share for value in self._at_risk]
        self._news, self._enough = 1, 1.0

    def _sum_up(self) -> None:
        at_risk = zip(self._at_risk, accumulate(self._entered), strict=True)
        self._at_risk = [sum(both) for both in at_risk]
        self._entered = [0.0] * len(self._edges)

    def _rescale(self) -> None:
        self._sum_up()
        self._ends = [value / self._weight for value in self._ends]
        self._at_risk = [value / self._weight for value in self._at_risk]
        self._weight = 1.0


def _smoothed(values: list[float]) -> list[float]:
    far, near, here = _KERNEL
    a, b, c = [0.0, 0.0, *values], [0.0, *values], [*values[1:], 0.0]
    d = [*values[2:], 0.0, 0.0]
    rows = zip(a, b, values, c, d, strict=False)
    return [far * (v + z) + near * (w + y) + here * x for v, w, x, y, z in rows]
