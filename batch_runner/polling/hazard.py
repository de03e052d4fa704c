"""The hazard of a duration, learned from polls that bracket the end (see THEORY.md, "Hazard")."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import Any

_BIN_WIDTH = 0.06  # of a bin, as a part of the time at which it begins
_MEMORY = 400.0  # completions after which an observation counts 1/e
_GROWTH = math.exp(1 / _MEMORY)  # of the weight from one completion to the next
_KERNEL = (0.06, 0.24, 0.4)  # smoothing weights: two bins away, one bin away, the bin itself
_REBUILD_AFTER = 0.15  # part of the observations after which the tables are rebuilt
_NEGLIGIBLE = 0.0001  # of the hazard between two polls: bins with less get no share
_MAX_CUMULATIVE = 15.0  # cumulative hazard beyond which almost nothing is still running
_FEW_LEFT = 0.05  # part still running below which a second poll does not matter
_CHEAPER_BINS = 8  # bins before the due time in which a poll may cost less
_PEAK_STEPS = 8  # intervals tried for a poll after a narrow peak
_MAX_RESTORED = 100  # weight of all earlier runs together, in completions


class HazardModel:
    """The hazard of one kind of duration, over times from 0 to `longest` seconds.

    The time axis is cut into bins: one up to `shortest`, then each wider than the one before by
    `bin_width`. `prior` is the k of the hazard k ÷ t assumed before anything is observed;
    it weighs as much as `prior_weight` tasks in each bin. With `pooled`, a bin with few
    observations takes the mean hazard of all bins instead, for durations that rarely end.
    """

    def __init__(
        self,
        *,
        shortest: float = 0.25,
        longest: float = 200_000.0,
        bin_width: float = _BIN_WIDTH,
        prior: float = 1.0,
        prior_weight: float = 0.2,
        pooled: bool = False,
    ) -> None:
        self._log_width = math.log1p(bin_width)
        count = math.ceil(math.log(longest / shortest) / self._log_width)
        self._edges = [0.0] + [shortest * math.exp(self._log_width * i) for i in range(count)]
        end = shortest * math.exp(self._log_width * count)
        self._widths = [b - a for a, b in pairwise([*self._edges, end])]
        self._prior = prior
        self._prior_weight = prior_weight
        self._pooled = pooled
        self._completed = [0.0] * len(self._edges)  # of each bin
        self._at_risk = [0.0] * len(self._edges)
        # Differences between bins, see `_add_covering`: the weight of tasks that were running all
        # the time; of completions that may lie in them, and times the survival at their ends.
        self._covering, self._passing, self._passing_end = self._no_differences()
        self._weight = 1.0  # of the next observation; it grows, which makes old ones fade
        self.completions = 0  #: number observed
        self._unused = 1  # observations since the tables were built
        self._rebuild_at = 1.0  # the number of them that rebuilds the tables
        self._hazard: list[float] = []  # of each bin, per second
        self._cumulative: list[float] = []  # cumulative hazard at each edge
        self._survival: list[float] = []  # at each edge
        self._survival_integral: list[float] = []  # up to each edge
        self._quantiles: dict[float, float] = {}  # computed since the tables were built

    def observe_running(self, start: float, end: float) -> float:
        """Record a task that was running at the times `start` and `end`.

        Returns the accumulated hazard in between, as predicted before this observation.
        """
        self._refresh()
        self._unused += 1
        (first, before), (last, after) = self._cumulated(start), self._cumulated(end)
        self._add_exposure(first, start, last, end)
        return after - before

    def observe_completed(self, start: float, end: float) -> float:
        """Record a task that was running at `start` and found completed at `end`.

        Returns the accumulated hazard in between, as predicted before this observation.
        """
        self._refresh()
        (_, before), (last, after) = self._cumulated(start), self._cumulated(end)
        if math.exp(-before) <= math.exp(-after) or before > _MAX_CUMULATIVE:
            self._completed[last] += self._weight  # no time passed, or the survival is too small
        else:
            self._share_completion(start, end)
        self.completions += 1
        self._unused += 1
        self._weight *= _GROWTH
        if self._weight > 1e12:
            self._rescale()
        return after - before

    def _share_completion(self, start: float, end: float) -> None:
        """Divide a completion between `start` and `end` among their bins by the known hazard."""
        (first, before), (last, after) = self._cumulated(start), self._cumulated(end)
        survival, at_end = math.exp(-before), math.exp(-after)
        threshold = before + _NEGLIGIBLE * min(1.0, after - before)
        likely = bisect_right(self._cumulative, threshold, first, last + 1) - 1
        if likely > first:  # a completion before this bin is negligible: count as running so far
            self._add_exposure(first, start, likely, self._edges[likely])
            first, start, survival = likely, self._edges[likely], self._survival[likely]
        weight = self._weight / (survival - at_end)
        if first < last:
            edge = self._survival[first + 1]
            self._share(first, self._edges[first + 1] - start, survival, edge, weight, at_end)
            start, survival = self._edges[last], self._survival[last]
            # The bins in between are passed completely; `_add_covering` adds them later.
            for totals, change in ((self._passing, weight), (self._passing_end, weight * at_end)):
                totals[first + 1] += change
                totals[last] -= change
        self._share(last, end - start, survival, at_end, weight, at_end)

    def _share(
        self, index: int, seconds: float, before: float, after: float, weight: float, at_end: float
    ) -> None:
        """Give a bin its share of a completion, with the survival before and after its part."""
        part = seconds / self._widths[index]
        self._completed[index] += weight * (before - after)
        self._at_risk[index] += weight * part * ((before + after) / 2 - at_end)

    def next_poll(
        self, at: float, cost: float, *, shortest: float = 0.0, sooner: bool = False
    ) -> float:
        """Return when to poll a task again that was running at `at`.

        That is when the expected delay since `at` reaches `cost` seconds. With
        `sooner`, and most tasks completing before, it is when polls and delay cost least. With
        `shortest`, the least interval between two polls, and most tasks completing within it, it
        is later: when a single poll most probably finds the task completed.
        """
        self._refresh()
        index, cumulative = self._cumulated(at)
        if cumulative > _MAX_CUMULATIVE:  # the survival is too small to compute with
            return at + math.sqrt(2 * cost / self._hazard[index])
        due = self._delay_reaches(cost, at, index)
        if sooner:
            due = self._cheapest_until(due, at, index, cost)
        due = max(due, at + shortest)
        return self._after_peak(at, due, cost, shortest) if shortest else due

    def _delay_reaches(self, cost: float, at: float, index: int) -> float:
        """Return when the expected delay since `at`, which lies in bin `index`, reaches `cost`."""
        (survival, so_far), edges = self._survival_until(at), self._edges
        integral = self._survival_integral
        # The delay up to an edge is ∫(1 − S(u) ÷ S(at)) du = edge − integral ÷ survival − start.
        start = at - so_far / survival
        low, high = index + 1, len(edges)
        while low < high:
            middle = (low + high) // 2
            if edges[middle] - integral[middle] / survival - start < cost:
                low = middle + 1
            else:
                high = middle
        edge, completed = low - 1, 0.0
        if edge > index:
            cost -= edges[edge] - integral[edge] / survival - start
            completed = 1 - self._survival[edge] / survival
            at = edges[edge]
        # The delay grows by completed · t + rate · t² ÷ 2. This form of the root allows rate 0.
        rate = (1 - completed) * self._hazard[edge]
        return at + 2 * cost / (completed + math.sqrt(completed * completed + 2 * rate * cost))

    def _cheapest_until(self, due: float, at: float, index: int, cost: float) -> float:
        """Return when the cost per completion found is least, if most complete until `due`.

        A poll at t costs `cost` plus the expected delay, and finds a completion with the
        probability 1 − S(t) ÷ S(at). If few complete until `due`, the least is about there.
        """
        at_due, until_due = self._survival_until(due)
        survival, so_far = self._survival_until(at)
        if at_due > survival / 2:
            return due
        least, best, last = math.inf, due, self._cumulated(due)[0]
        polls = [(due, at_due, until_due)]
        polls += [
            (self._edges[edge], self._survival[edge], self._survival_integral[edge])
            for edge in range(last, max(index, last - _CHEAPER_BINS), -1)
        ]
        for poll, running, integral in polls:
            delay = poll - at - (integral - so_far) / survival
            found = max(1e-9, 1 - running / survival)
            if (each := (cost + delay) / found) < least:
                least, best = each, poll
        return best

    def _after_peak(self, at: float, due: float, cost: float, shortest: float) -> float:
        """Return the time from `due` on at which a poll costs least, a second poll included.

        A poll just before the completion costs `shortest` seconds of delay. With the survival S
        and its integral L, a poll at t and, if needed, another `shortest` later cost
        t · S(at) + S(t) · (cost + shortest) − L(t + shortest), up to a constant.
        """
        survival, (at_due, _) = self._survival_until(at)[0], self._survival_until(due)
        if at_due < _FEW_LEFT * survival:
            return due
        if self._survival_until(due + shortest)[0] > at_due / 2:
            return due
        least, best = math.inf, due
        for step in range(_PEAK_STEPS + 1):
            poll = due + shortest * step / _PEAK_STEPS
            total = poll * survival + self._survival_until(poll)[0] * (cost + shortest)
            total -= self._survival_until(poll + shortest)[1]
            if total < least:
                least, best = total, poll
        return best

    def _survival_until(self, at: float) -> tuple[float, float]:
        """Return the survival at a time, and its integral up to there."""
        index, cumulative = self._cumulated(at)
        survival = math.exp(-cumulative)
        since_edge = (self._survival[index] - survival) / self._hazard[index]
        return survival, self._survival_integral[index] + since_edge

    def quantile(self, share: float) -> float:
        """Return the seconds within which `share` (0 to 1) of the tasks complete."""
        self._refresh()
        if (known := self._quantiles.get(share)) is None:
            wanted = -math.log(1 - share)
            index = bisect_right(self._cumulative, wanted) - 1
            index = max(0, min(index, len(self._hazard) - 1))
            known = self._edges[index] + (wanted - self._cumulative[index]) / self._hazard[index]
            self._quantiles[share] = known
        return known

    def state(self) -> dict[str, object]:
        """Return what was learned, ready for JSON."""
        self._add_covering()
        return {
            "completions": self.completions,
            "completed": self._sparse(self._completed),
            "at_risk": self._sparse(self._at_risk),
        }

    def _sparse(self, values: list[float]) -> dict[str, float]:
        rounded = (round(value / self._weight, 4) for value in values)
        return {str(index): value for index, value in enumerate(rounded) if value}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what an earlier run learned, counted as at most 100 completions.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: not what `state` returns.
        """
        completed = self._dense(state["completed"])
        at_risk = self._dense(state["at_risk"])
        scale = 1 / max(1.0, sum(completed) / _MAX_RESTORED)
        self._completed = [value * scale for value in completed]
        self._at_risk = [value * scale for value in at_risk]
        self._weight = 1.0
        self.completions = min(int(state["completions"]), _MAX_RESTORED)
        self._unused, self._rebuild_at = 1, 1.0

    def _dense(self, state: Mapping[str, float]) -> list[float]:
        values = [0.0] * len(self._edges)
        for key, value in state.items():
            index, number = int(key), float(value)
            if not (0 <= index < len(values) and 0 <= number < 1e12):
                raise ValueError(f"expected the index of a bin and a count, not {key}: {value}")
            values[index] = number
        return values

    def _cumulated(self, at: float) -> tuple[int, float]:
        """Return the bin of a time, and the hazard accumulated up to it."""
        index = bisect_right(self._edges, at, 1) - 1
        return index, self._cumulative[index] + (at - self._edges[index]) * self._hazard[index]

    def _add_exposure(self, first: int, start: float, last: int, end: float) -> None:
        """Count a task as running from `start`, in bin `first`, to `end`, in bin `last`."""
        weight = self._weight
        if first == last:
            self._at_risk[first] += weight * (end - start) / self._widths[first]
            return
        self._at_risk[first] += weight * (self._edges[first + 1] - start) / self._widths[first]
        self._at_risk[last] += weight * (end - self._edges[last]) / self._widths[last]
        # The bins in between are covered completely; `_add_covering` adds them later.
        self._covering[first + 1] += weight
        self._covering[last] -= weight

    def _refresh(self) -> None:
        """Rebuild the tables after enough observations: at first each one, later 15 % more."""
        if self._unused < self._rebuild_at:
            return
        self._rebuild_at = min(self._rebuild_at + self._unused * _REBUILD_AFTER, _MEMORY / 2)
        self._unused = 0
        self._add_covering()
        completed, at_risk = _smoothed(self._completed), _smoothed(self._at_risk)
        prior_weight = self._prior_weight * self._weight
        prior = self._prior * self._log_width
        if self._pooled:
            prior = (sum(completed) + self._weight * prior) / (sum(at_risk) + self._weight)
        self._hazard = [
            (done + prior_weight * prior) / (risk + prior_weight) / width
            for done, risk, width in zip(completed, at_risk, self._widths, strict=True)
        ]
        cumulative, integral, survival = 0.0, 0.0, 1.0
        self._cumulative, self._survival, self._survival_integral = [], [], []
        self._quantiles = {}
        for hazard, width in zip(self._hazard, self._widths, strict=True):
            self._cumulative.append(cumulative)
            self._survival_integral.append(integral)
            self._survival.append(survival)
            cumulative += hazard * width
            remaining = math.exp(-cumulative)
            integral += (survival - remaining) / hazard
            survival = remaining

    def fade(self, share: float) -> None:
        """Reduce the weight of everything observed to `share`, after the service has changed."""
        self._add_covering()
        self.completions = int(self.completions * share)
        self._completed = [value * share for value in self._completed]
        self._at_risk = [value * share for value in self._at_risk]
        self._unused, self._rebuild_at = 1, 1.0

    def _no_differences(self) -> tuple[list[float], ...]:
        return tuple([0.0] * len(self._edges) for _ in range(3))

    def _add_covering(self) -> None:
        """Add what covers whole bins; the tables must still be those it was observed with."""
        if any(self._passing):
            survivals = pairwise([*self._survival, 0.0])
            totals = zip(
                accumulate(self._passing), accumulate(self._passing_end), survivals, strict=True
            )
            for index, (weight, at_end, (before, after)) in enumerate(totals):
                if weight > 0:
                    self._completed[index] += weight * (before - after)
                    self._at_risk[index] += weight * (before + after) / 2 - at_end
        at_risk = zip(self._at_risk, accumulate(self._covering), strict=True)
        self._at_risk = [sum(both) for both in at_risk]
        self._covering, self._passing, self._passing_end = self._no_differences()

    def _rescale(self) -> None:
        self._add_covering()
        self._completed = [value / self._weight for value in self._completed]
        self._at_risk = [value / self._weight for value in self._at_risk]
        self._weight = 1.0


def _smoothed(values: list[float]) -> list[float]:
    far, near, here = _KERNEL
    a, b, c = [0.0, 0.0, *values], [0.0, *values], [*values[1:], 0.0]
    d = [*values[2:], 0.0, 0.0]
    rows = zip(a, b, values, c, d, strict=False)
    return [far * (v + z) + near * (w + y) + here * x for v, w, x, y, z in rows]
