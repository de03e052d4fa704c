"""Durations at two grains: a coarse one that learns from few, a fine one for tasks that are alike.

Where tasks take half a minute, give or take a third, stretches of 6 % lose nothing and a dozen
finishes fill them. Where the same work always takes the same time they are far too wide: the end is
known to the second, and the looks should crowd there. A table so fine that it can tell so would
take hundreds of finishes to say anything of tasks that differ. So both are learned, the fine one
around where most end, and the fine one is used once it has foretold better (`contest`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batch_runner.polling.hazard import HazardModel
from batch_runner.polling.model_comparison import ModelComparison

_FINE = 0.006  # width of one stretch of the fine table, where that of the coarse is 0.06
_FROM = 20  # finishes that tell where most end
_BODY = 0.1, 0.9  # what ends between these shares
_MARGIN = 4.0  # times, on both sides of it
_LEAST, _MOST = 0.01, 1e6  # seconds between which the fine one's range must lie


class FocusedDurations:
    """As `HazardModel`, at the grain that has foretold best."""

    def __init__(self) -> None:
        self._coarse = HazardModel()
        self._fine: HazardModel | None = None
        self._range = 0.0, 0.0  # of the fine one, in seconds
        self._contest = ModelComparison()
        self._from = _FROM  # finishes seen from which on it is known where most end

    @property
    def seen(self) -> int:
        """Return how many finishes were observed."""
        return self._coarse.seen

    def survived(self, start: float, end: float) -> float:
        """Note a task that was going at `start` and still at `end`, as `HazardModel` does."""
        coarse = self._coarse.survived(start, end)
        if self._fine is None:
            return coarse
        return self._hold(coarse, self._fine.survived(start, end), ended=False)

    def ended(self, start: float, end: float) -> float:
        """Note a task that was going at `start` and ended at `end`, as `HazardModel` does."""
        coarse = self._coarse.ended(start, end)
        if self._fine is None:
            self._focus()
            return coarse
        return self._hold(coarse, self._fine.ended(start, end), ended=True)

    def next_look(self, at: float, price: float, *, shortest: float) -> float:
        """Return when to look next, as `HazardModel` does."""
        if (proven := self._proven) is not None:
            return proven.next_look(at, price, shortest=shortest)
        return self._coarse.next_look(at, price)  # too blunt to tell a peak so narrow

    def quantile(self, share: float) -> float:
        """Return the clock by which `share` (0 to 1) of what starts has ended."""
        return (self._proven or self._coarse).quantile(share)

    def fade(self, share: float) -> None:
        """Let all that was seen count `share` of what it did; where most end is no longer known."""
        self._coarse.fade(share)
        self._fine, self._contest = None, ModelComparison()
        self._from = self._coarse.seen + 3 * _FROM

    def state(self) -> dict[str, object]:
        """Return what was learned, ready for JSON."""
        state = self._coarse.state()
        if self._fine is not None:
            proof = round(self._contest.proof, 3)
            state["fine"] = {"range": self._range, "proof": proof, **self._fine.state()}
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what an earlier run learned.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it is not what `state` returns.
        """
        self._coarse.restore(state)
        if (fine := state.get("fine")) is None:
            return
        low, high = (float(edge) for edge in fine["range"])
        if not _LEAST <= low < high <= _MOST:
            raise ValueError(f"wanted a range of seconds, not {low} to {high}")
        self._lay(low, high).restore(fine)
        self._contest = ModelComparison(float(fine["proof"]))

    @property
    def _proven(self) -> HazardModel | None:
        """Return the fine one while it is believed."""
        return self._fine if self._contest.won else None

    def _hold(self, coarse: float, fine: float, *, ended: bool) -> float:
        """Compare what both foretold, and return what the one that was believed did."""
        believed = fine if self._contest.won else coarse
        self._contest.hold(fine, coarse, ended=ended)
        return believed

    def _focus(self) -> None:
        """Begin to learn finely, once it is known where."""
        if self._coarse.seen < self._from:
            return
        low, high = (self._coarse.quantile(share) for share in _BODY)
        low, high = max(_LEAST, low / _MARGIN), min(_MOST, high * _MARGIN)
        if low < high:
            self._lay(low, high)

    def _lay(self, low: float, high: float) -> HazardModel:
        """Begin a fine table for what ends between these seconds."""
        self._range = low, high
        self._fine = HazardModel(shortest=low, longest=high, grain=_FINE)
        return self._fine
