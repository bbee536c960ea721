"""The platforms that the contract tests run on: memory, DynamoDB as moto and the local cloud serve it, PostgreSQL."""

from __future__ import annotations

import uuid

import pytest

from platforms.aws.documents import DynamoDocuments
from platforms.kubernetes.documents import PostgresDocuments
from services.memory import MemoryDocuments
from services.ports import Documents
from tests.pipeline.conftest import moto_url
from tests.platforms.aws.either import EITHER, clients_of
from tests.platforms.aws.mocked import documents_table
from tests.platforms.kubernetes.conftest import postgres, store

__all__ = ["moto_url", "postgres", "store"]


EVERY = ["memory", *EITHER, pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))]


@pytest.fixture(params=EVERY)
def documents(request: pytest.FixtureRequest) -> Documents:
    """An empty store of documents."""
    name = f"documents-{uuid.uuid4().hex[:8]}"
    if request.param == "memory":
        return MemoryDocuments()
    if request.param == "postgresql":
        return PostgresDocuments(request.getfixturevalue("store"), name)
    clients = clients_of(request)
    documents_table(clients, name)
    return DynamoDocuments(clients, name)
