"""The service, acted: its contract over real HTTP, real pictures, and faults on request.

It exists to be pointed at by tests, rehearsals and curious people. It imports nothing else of this
program: what is misread there must not be misread here in the same way.

Theory of operation. `Simulator` opens three ports in the running loop: the API, the files (another
origin, keyless) and a decoy to which only a followed redirect leads. Each request becomes an
`Exchange`; the `Dispatcher` looks whether a fault rule applies. If none does, the exchange lets the
`Service` work and sends its `Answer`. A fault is a small function that gets the same exchange: it
may answer without letting the service work (nothing happened, nothing is paid), after it (paid,
and the client cannot know), or bend the answer on its way.

The service's work is one synchronous step, so a create is in the `Ledger`, and paid, before the
first byte of its answer exists. Tasks cost no timers: their states are computed when asked for,
from the loop's clock. On a test's loop whose clock jumps, a night takes a second. With a state
file, every event is appended to it before it takes effect; after a kill the same events are
replayed, and the service's time goes on from the last of them.

Chance is drawn from the seed, except task ids: a fresh simulator must never repeat those of an
earlier one, which a client's journal may still hold.
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
