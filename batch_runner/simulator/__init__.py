"""A simulator of services: their HTTP contracts, real pictures, and faults on request.

It acts as one service at a time, the `personality`: `personalities` has a module for each, and all
the rest is the same for all of them. Tests, rehearsals and the command `simulate` run against it.
It imports nothing else of this program, so that a misreading of a service's documents is not made
in both places.

`Simulator` listens on several ports in the running event loop: the API, the files (another origin,
without a key), the redirect trap, which only a client that follows a redirect reaches, and a second
origin of the API if the personality has one. Each request becomes an `Exchange`, and the
`Dispatcher` asks the fault rules for the first one that applies. Without one, the personality does
the work by calls of the `Service`, and the exchange sends its `Answer`. A fault is a function that
gets the exchange: it responds before the work is done (nothing is paid), after it (paid, and the
client cannot know), or changes the answer, as `Responses` says where.

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
    totals       numbers of submissions, polls, results, downloads, limited (status 429, or the
                 service's code for it), rejected (any other error), uploads, repeats (submissions
                 again under the same idempotency key, not paid again), cancelled

and of each submission:

    n            its number, from 1
    time         when it was submitted
    task_id      the task's id
    workflowId, params, body
                 what was submitted
    request_id   the id or idempotency key that the client chose, null without one
    response     "ok", or the name of the fault that changed or withheld the response
    polls, results, downloads, repeats
                 numbers of requests for this task
    cancelled    whether a client has cancelled it
    state        PENDING, RUNNING, COMPLETED, FAILED, CANCELED, LOST; MODERATED or WITHHELD if the
                 content or the result is not allowed
    finished_at  when the task ended, null before that
"""

from __future__ import annotations

from batch_runner.simulator.faults import FAULTS, parse_fault
from batch_runner.simulator.ledger import Ledger
from batch_runner.simulator.personalities import PERSONALITIES
from batch_runner.simulator.server import Simulator, serve
from batch_runner.simulator.settings import SimulatorSettings
from batch_runner.simulator.tasks import Task

__all__ = [
    "FAULTS",
    "PERSONALITIES",
    "Ledger",
    "Simulator",
    "SimulatorSettings",
    "Task",
    "parse_fault",
    "serve",
]
