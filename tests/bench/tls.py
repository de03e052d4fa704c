"""CPU time of one more item over TLS, compared with the minimal client in Python.

    python -m tests.bench.tls

The clients and figures are those of `cpu`; the service has a certificate that an authority has
signed, both ECDSA P-256. The minimal client keeps its connections and makes 64 handshakes in all.
Our command makes one more for each submission.
"""

from __future__ import annotations

from tests.bench import _rows, cpu

KIND = cpu.Kind("10 KB over TLS", 10 * 2**10, 200, 1200, 3, 2.5, ("--tls",))
MEANS = (
    "Processor time that an item of 10 KB costs from an https service. A script that keeps its "
    "connections is the floor. We use a new one for each submission, because a kept one loses some."
)


def main() -> None:
    """Print every row."""
    _rows.print_head("CPU time over TLS, ms", "median", "spread", "× floor", means=MEANS)
    cpu.show(KIND)


if __name__ == "__main__":
    main()
