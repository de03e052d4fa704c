"""The hazard at two scales: wide bins, and fine ones where all tasks take the same time.

Wide bins (6 %) need only a dozen completions and lose nothing if durations vary. If all tasks take
the same time, the end is known to the second, which only fine bins can express; for durations that
vary, fine bins would need hundreds of completions. So both are learned, the fine ones only around
the usual durations, and these are used once they have predicted better.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batch_runner.polling.hazard import HazardModel
from batch_runner.polling.model_comparison import ModelComparison

_FINE_BIN_WIDTH = 0.006
_MIN_COMPLETIONS = 20  # until the usual durations are known
_USUAL = 0.1, 0.9  # quantiles between which a duration is usual
_MARGIN = 4.0  # the fine bins cover this factor below and above the usual durations
_SHORTEST, _LONGEST = 0.01, 1e6  # seconds; limits of the fine range


class TwoScaleHazard:
    """A `HazardModel` with the bin width that has predicted best."""

    def __init__(self) -> None:
        self._wide = HazardModel()
        self._fine: HazardModel | None = None
        self._range = 0.0, 0.0  # seconds; of the fine bins
        self._comparison = ModelComparison()
        self._fine_from = _MIN_COMPLETIONS

    @property
    def completions(self) -> int:
        """Return the number of completions observed."""
        return self._wide.completions

    def observe_running(self, start: float, end: float) -> float:
        """Record a running task; see `HazardModel`."""
        wide = self._wide.observe_running(start, end)
        if self._fine is None:
            return wide
        return self._compare(wide, self._fine.observe_running(start, end), completed=False)

    def observe_completed(self, start: float, end: float) -> float:
        """Record a completed task; see `HazardModel`."""
        wide = self._wide.observe_completed(start, end)
        if self._fine is None:
            self._begin_fine()
            return wide
        return self._compare(wide, self._fine.observe_completed(start, end), completed=True)

    def next_poll(self, at: float, cost: float, *, shortest: float) -> float:
        """Return when to poll again; see `HazardModel`."""
        if (fine := self._fine_if_better) is not None:
            return fine.next_poll(at, cost, shortest=shortest)
        return self._wide.next_poll(at, cost)  # its bins cannot describe a narrow peak

    def quantile(self, share: float) -> float:
        """Return the seconds within which `share` (0 to 1) of the tasks complete."""
        return (self._fine_if_better or self._wide).quantile(share)

    def fade(self, share: float) -> None:
        """Reduce the weight of everything observed to `share`, and forget the usual durations."""
        self._wide.fade(share)
        self._fine, self._comparison = None, ModelComparison()
        self._fine_from = self._wide.completions + 3 * _MIN_COMPLETIONS

    def state(self) -> dict[str, object]:
        """Return what was learned, ready for JSON."""
        state = self._wide.state()
        if self._fine is not None:
            gain = round(self._comparison.log_likelihood_gain, 3)
            state["fine"] = {"range": self._range, "gain": gain, **self._fine.state()}
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what an earlier run learned.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: not what `state` returns.
        """
        self._wide.restore(state)
        if (fine := state.get("fine")) is None:
            return
        low, high = (float(edge) for edge in fine["range"])
        if not _SHORTEST <= low < high <= _LONGEST:
            raise ValueError(f"expected a range of seconds, not {low} to {high}")
        self._make_fine(low, high).restore(fine)
        self._comparison = ModelComparison(float(fine["gain"]))

    @property
    def _fine_if_better(self) -> HazardModel | None:
        return self._fine if self._comparison.is_better else None

    def _compare(self, wide: float, fine: float, *, completed: bool) -> float:
        """Compare both predictions, and return that of the model used so far."""
        used = fine if self._comparison.is_better else wide
        self._comparison.update(fine, wide, completed=completed)
        return used

    def _begin_fine(self) -> None:
        """Make the fine bins once the usual durations are known."""
        if self._wide.completions < self._fine_from:
            return
        low, high = (self._wide.quantile(share) for share in _USUAL)
        low, high = max(_SHORTEST, low / _MARGIN), min(_LONGEST, high * _MARGIN)
        if low < high:
            self._make_fine(low, high)

    def _make_fine(self, low: float, high: float) -> HazardModel:
        self._range = low, high
        self._fine = HazardModel(shortest=low, longest=high, bin_width=_FINE_BIN_WIDTH)
        return self._fine
