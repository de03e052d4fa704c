"""When to look at which task: what every poller of the pool asks next.

Why not every ten seconds? A look costs a request; not looking costs delay, for a task that has
ended unseen. Say a look is worth c seconds of delay (`polling.request_cost`). A task that was
going at its last look has, s seconds later, ended unseen with a probability of about h·s, where h
is the hazard: the chance a second to end now, having lasted so long. Up to then this has cost
h·s²/2 seconds of delay, on average. Look when that has reached the price of a look::

    h · s² ÷ 2 = c        so        s = √(2c ÷ h)

Few looks while a task is too young to end, many while most end, fewer again for the stragglers.
How one trades looks for delay is taste, but their product is not: with even spacing it is E[T]/2
at best, whatever the interval, because a look in a quiet stretch costs what one in a busy stretch
does. With the spacing above it is A²/2, A = ∫√(f·S) for a density f and survival S of the run
times. For a lognormal run time with a median of 30 s and σ = 0.4 that is 10.3 s against 16.3 s; for
σ = 0.1, five times less; for run times without memory there is nothing to be gained. Back-off,
which spaces looks the wider the likelier the end is, gets 40 to 80 s.

The hazard is learned, from looks that never see an end itself (`durations`), and to the second
where tasks are alike (`focus`). There one look is enough; made a moment too early it would be
followed by one as late as `shortest` commands, so it is made when most of the peak is past.

It is a hazard of the time since a task's turn came, not since its submission: with five hundred
tasks queued before sixteen workers the age of a task says little, its place in the line nearly all
(`frontier`). Who is far behind the newest finished task is not worth asking. Where the service
tells its progress, and as long as that has told the truth, it is asked when it said it would be
done (`sightings`). All of it is bounded by the operator: no look sooner than `shortest` or, once a
task's turn has come, later than `longest` after the last; and none before `first` until a few have
finished. What is known of a workflow is one `WorkflowModel`; it watches itself, and forgets when
the service has changed.

Quick tasks are worth no fewer looks than slow ones: a look costs a sixtieth of the time that half
the tasks take, if that is less than the operator's price. And the price falls, to a tenth at most,
when delay costs more than the waiting of one item. With all places among the tasks in flight taken,
an end that is not seen keeps others waiting: n items in line for each place make a second of it
worth 1 + n. And once no more tasks will come, the run lasts as long as its last task; as they
become fewer, the looks of those that have gone are given to those that are left, the same number a
second, for which the price falls with the square of how many they are. None of this changes what
looks × delay comes to.

When the poll limit binds, looks fall due faster than they may be made. A look's worth grows with
the square of (time since the last ÷ proper spacing), so the one for which this ratio is largest
goes first. That is the same rule with a higher price of a look, found without knowing the price.

Who runs: any number of pollers call `PollScheduler.next`. One of them, the first in line for a
lock, waits for the clock, for the gate and for the poll limit; when it leaves with a task the next
moves up. So there is one timer however many tasks and pollers there are, and nobody wakes for
nothing. A task leaves the heap only in the moment it is returned: a poller cancelled while waiting
takes none with it. `PollQueue` is all of this without the waiting; every moment is an argument.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Mapping

from batch_runner.models import InFlight, TaskReport
from batch_runner.polling.queue import PollQueue
from batch_runner.ratelimit.limiter import LocalRateLimiter
from batch_runner.ratelimit.pause_gate import PauseGate
from batch_runner.settings import Polling
from batch_runner.units import Rate


class PollScheduler:
    """Tells each poller of the pool what to look at next."""

    def __init__(
        self,
        polling: Polling,
        polls: Rate,
        *,
        gate: PauseGate,
        clock: Callable[[], float],
        random: random.Random,
        learned: Mapping[str, str] | None = None,
        behind: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`behind` as for `PollQueue`."""
        self._clock = clock
        self._pacer = LocalRateLimiter(polls, gate=gate, clock=clock, random=random)
        self._agenda = PollQueue(polling, random=random, learned=learned or {}, behind=behind)
        self._closed = False
        self._turn = asyncio.Lock()  # the one poller that waits for the clock; the rest wait for it
        self._changed = asyncio.Event()
        self._awaited = -math.inf  # what the clock is waited for; -inf while nobody waits

    def __len__(self) -> int:
        return len(self._agenda)

    def add(self, task: InFlight, *, seen_before: bool = False) -> None:
        """Look after a paid task from now on.

        `task.since` is the loop time of its submission. `seen_before`: an earlier run submitted it,
        so it may have been finished for long and is looked at soon.
        """
        self._agenda.add(task, self._clock(), seen_before=seen_before)
        self._wake()

    def close(self) -> None:
        """Say that no more tasks will be added."""
        self._closed = True
        self._agenda.close()
        self._wake()

    async def next(self) -> InFlight | None:
        """Wait until a task is due and may be asked about; None when there will be no more.

        The task is the caller's until it calls `running`, `missed`, `finished` or `forget` with
        it. A caller that is cancelled while waiting takes no task with it.
        """
        async with self._turn:
            while len(self._agenda) or not self._closed:
                due = self._agenda.due_at()
                if due is None or due > self._clock():
                    await self._until(due)
                    continue
                await self._pacer.acquire()
                if (task := self._agenda.take(self._clock())) is not None:
                    return task
        return None

    def running(self, task: InFlight, report: TaskReport) -> None:
        """Note that the task is still going; it is due again by policy."""
        self._pacer.accepted()
        self._agenda.running(task, self._clock(), report.progress)
        self._wake()

    def missed(self, task: InFlight, seconds: float) -> None:
        """Note that the look failed; the next comes after at least `seconds`."""
        self._agenda.missed(task, self._clock(), seconds)
        self._wake()

    def limited(self, retry_after: float | None) -> None:
        """Note that a look was answered 429: everyone pauses, and looks become rarer.

        The task itself is still the caller's: `missed` gives it back.
        """
        self._pacer.limited(retry_after)

    def finished(self, task: InFlight) -> None:
        """Note that the service has said the end; the task is never looked at again."""
        self._pacer.accepted()
        self._agenda.finished(task, self._clock())
        self._wake()

    def forget(self, task: InFlight) -> None:
        """Give the task up; nothing is learned from it."""
        self._agenda.forget(task, self._clock())
        self._wake()

    def eta(self) -> float | None:
        """Return the seconds until the tasks it holds are finished, None while unknown."""
        return self._agenda.eta(self._clock())

    def typical(self, workflow: str, share: float = 0.5) -> float | None:
        """Return the seconds from submission within which `share` of tasks finish, if known."""
        return self._agenda.typical(workflow, share)

    def learned(self) -> dict[str, str]:
        """Return what was learned, as JSON by workflow, to be kept between runs."""
        return self._agenda.learned()

    def _wake(self) -> None:
        """Wake the poller that waits for the clock, if it would miss what has changed."""
        due = self._agenda.due_at()
        if due is None or due < self._awaited:
            self._changed.set()

    async def _until(self, due: float | None) -> None:
        """Wait until `due`, or until there is something to do before."""
        self._changed.clear()
        self._awaited = math.inf if due is None else due
        timer = None
        if due is not None:
            wait = due - self._clock()
            timer = asyncio.get_running_loop().call_later(wait, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            self._awaited = -math.inf
            if timer is not None:
                timer.cancel()
