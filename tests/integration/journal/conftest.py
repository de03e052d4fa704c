"""Fixtures of the tests of a journal in PostgreSQL."""

from __future__ import annotations

import pytest

from tests.harness.postgres import PostgresServer, new_schema, postgres


@pytest.fixture
def server() -> PostgresServer:
    return postgres()


@pytest.fixture
def schema() -> str:
    return new_schema()
