"""A PostgreSQL server for the tests of this folder, started once a worker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from platforms.kubernetes.database import Database
from platforms.kubernetes.schema import prepare
from tests.platforms.kubernetes.postgres import Server, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server, with an empty database `owner`."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def store(postgres: Server) -> Iterator[Database]:
    """The database with its tables."""
    database = Database.of(postgres.url())
    prepare(database)
    yield database
    database.close()


@pytest.fixture
def endpoint() -> str:
    """An endpoint of the test's own: everything in the database is by endpoint."""
    return f"e-{uuid.uuid4().hex[:12]}"
