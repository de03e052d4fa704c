"""What the service can do wrong: a registry of small functions, and rules saying when.

A fault is a function that gets an `Exchange` and answers it its own way. Its name is the fault's
name, the first line of its docstring the description, its keyword arguments the options. A rule
such as ``lose_answer:create:every=10`` is read by `parse_fault`.
"""

from __future__ import annotations

from batch_runner.simulator.faults import bodies, connections, downloads, refusals, results, states
from batch_runner.simulator.faults.registry import CALLS, registered
from batch_runner.simulator.faults.rules import FaultPlan, FaultRule, parse_fault

__all__ = ["CALLS", "FAULTS", "FaultPlan", "FaultRule", "parse_fault"]

_MODULES = (connections, refusals, bodies, states, results, downloads)

#: Every fault's name and what it does, in one line, in the order of the modules.
FAULTS: dict[str, str] = {name: kind.description for name, kind in registered().items()}
