"""`python -m tests.bench [MODULE…]`: measure all, or some (cpu, rate, soak), against the goals."""

from __future__ import annotations

import runpy
import signal
import sys
import time
from pathlib import Path

from tests.bench import _chart, _rows

ON_REQUEST = {"soak"}  # takes long


def main() -> None:
    """Run the benchmarks asked for, each a module of this package; store the table of all."""
    here = Path(__file__).parent
    modules = sorted(path.stem for path in here.glob("*.py") if not path.stem.startswith("_"))
    asked = sys.argv[1:]
    wanted = asked or [module for module in modules if module not in ON_REQUEST]
    if unknown := [module for module in wanted if module not in modules]:
        sys.exit(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(modules)}")
    # SIGTERM raises, so that child processes and scratch files are removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    failed = [module for module in wanted if not run_benchmark(module)]
    if failed:
        _rows.print_line(f"\ncould not be measured: {', '.join(failed)}")
    _rows.print_summary(_chart.origin())
    if not asked:
        (here / "rows.txt").write_text("\n".join(_rows.TABLE).lstrip() + "\n")
        _chart.draw(here / "rows.svg")
    if failed:
        sys.exit(1)


def run_benchmark(module: str) -> bool:
    """Return whether a benchmark ran to its end; a missed goal is only printed."""
    begun = time.monotonic()
    sys.argv = [module]
    try:
        runpy.run_module(f"tests.bench.{module}", run_name="__main__")
    except SystemExit as stopped:
        _rows.print_line(f"{module}: {stopped}")
        return not stopped.code
    finally:
        _rows.print_line(f"({module}: {time.monotonic() - begun:.0f} s)")
    return True


if __name__ == "__main__":
    main()
