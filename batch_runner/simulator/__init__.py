"""A simulator of the service: its HTTP contract, real pictures, and faults on request.

Tests, rehearsals and the command `simulate` run against it. It imports nothing else of this
program, so that a misreading of the service's documents is not made in both places.

`Simulator` listens on three ports in the running event loop: the API, the files (another origin,
without a key) and the redirect trap, which only a client that follows a redirect reaches. Each
request becomes an `Exchange`, and the `Dispatcher` asks the fault rules for the first one that
applies. Without one, the `Service` does the work and the exchange sends its `Answer`. A fault is
a function that gets the exchange: it responds before the work is done (nothing is paid), after it
(paid, and the client cannot know), or changes the answer.

The service's work is one synchronous step, so a submission is in the `Ledger`, and paid, before
the first byte of its response exists. Tasks need no timers: their states are computed from the
loop's clock when a client asks. With a state file, every event is appended to the file before it
takes effect. A restart applies the same events again, and the service's time continues from the
last one.

Random choices depend on the seed, except task ids: a new simulator must not repeat an id that a
client's journal may still hold.

`GET /_sim/ledger` returns the ledger as JSON:

    time         seconds since the service's first start
    submissions  list of tasks, each of them paid, in order of submission
    rejected     list of requests that were rejected: time, call, status, message, key_ok
    uploads      list of stored files: time, name, size, sha256, path
    leaks        list of requests that carried a key where none belongs: time, origin, path, where
    redirected   list of requests that followed a redirect: time, method, path, key, size
    totals       numbers of submissions, polls, results, downloads, limited (status 429),
                 rejected (any other error), uploads

and of each submission:

    n            its number, from 1
    time         when it was submitted
    task_id      the task's id
    workflowId, params, body
                 what was submitted
    response     "ok", or the name of the fault that changed or withheld the response
    polls, results, downloads
                 numbers of requests for this task
    state        the service's word: PENDING, RUNNING, COMPLETED, FAILED or CANCELED
    finished_at  when the task ended, null before that
"""

from __future__ import annotations

from batch_runner.simulator.faults import FAULTS, parse_fault
from batch_runner.simulator.ledger import Ledger
from batch_runner.simulator.responses import VARIANTS
from batch_runner.simulator.server import Simulator, serve
from batch_runner.simulator.settings import SimulatorSettings
from batch_runner.simulator.tasks import Task

__all__ = [
    "FAULTS",
    "VARIANTS",
    "Ledger",
    "Simulator",
    "SimulatorSettings",
    "Task",
    "parse_fault",
    "serve",
]
