"""Contract tests run in virtual time, as integration tests do."""

from __future__ import annotations

from tests.contract.provider_rows import row
from tests.integration.conftest import _virtual_time, anyio_backend

__all__ = ["_virtual_time", "anyio_backend", "row"]
