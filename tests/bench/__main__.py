"""`python -m tests.bench [MODULE…]`: measure all, or some (cpu, rate, soak), against the goals."""

from __future__ import annotations

import runpy
import signal
import sys
from pathlib import Path

from tests.bench import _chart

ON_REQUEST = {"soak"}  # takes long


def main() -> None:
    """Run the benchmarks asked for, each a module of this package, and draw the main ones."""
    here = Path(__file__).parent
    modules = sorted(path.stem for path in here.glob("*.py") if not path.stem.startswith("_"))
    wanted = sys.argv[1:] or [module for module in modules if module not in ON_REQUEST]
    if unknown := [module for module in wanted if module not in modules]:
        sys.exit(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(modules)}")
    # SIGTERM raises, so that child processes and scratch files are removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    failed = [module for module in wanted if not run_benchmark(module)]
    _chart.draw(here / "rows.svg")
    if failed:
        sys.exit(f"could not be measured: {', '.join(failed)}")


def run_benchmark(module: str) -> bool:
    """Return whether a benchmark ran to its end; a missed goal is only printed."""
    sys.argv = [module]
    try:
        runpy.run_module(f"tests.bench.{module}", run_name="__main__")
    except SystemExit as stopped:
        print(f"{module}: {stopped}")
        return not stopped.code
    finally:
        print(flush=True)
    return True


if __name__ == "__main__":
    main()
