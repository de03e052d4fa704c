"""What the service can do wrong: a registry of functions, and the rules for when they apply.

A fault is a function that gets an `Exchange` and responds to it in its own way. Its name is the
name of the fault, the first line of its docstring the description, its keyword arguments are the
options. To add a fault, write such a function, with `@fault`, into the module it fits.
`parse_fault` reads a rule such as ``lose_answer:submit:every=10``.
"""

from __future__ import annotations

from batch_runner.simulator.faults import (
    bodies,
    connections,
    downloads,
    rejections,
    results,
    states,
)
from batch_runner.simulator.faults.registry import CALLS, registered
from batch_runner.simulator.faults.rules import FaultPlan, FaultRule, parse_fault

__all__ = ["CALLS", "FAULTS", "FaultPlan", "FaultRule", "parse_fault"]

_MODULES = (connections, rejections, bodies, states, results, downloads)

#: The description of every fault, by name.
FAULTS: dict[str, str] = {name: kind.description for name, kind in registered().items()}
