"""The platforms of the contract tests, one of which is found by its entry point alone (`tests/toy_platform`)."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from platforms.aws.documents import DynamoDocuments
from platforms.kubernetes.documents import PostgresDocuments
from services import platform_registry
from services.memory import MemoryDocuments
from services.ports import Documents
from tests.pipeline.conftest import moto_url
from tests.platforms.aws.either import EITHER, clients_of
from tests.platforms.aws.mocked import documents_table
from tests.platforms.kubernetes.conftest import postgres, store

__all__ = ["moto_url", "postgres", "store"]


EVERY = ["memory", "toy", *EITHER, pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))]


TOY = Path(__file__).resolve().parents[1] / "toy_platform"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of the toy platform, whose package is installed for this test."""
    monkeypatch.syspath_prepend(str(TOY))
    platform_registry.platform.cache_clear()
    yield importlib.import_module(platform_registry.platform("toy").declare.partition(":")[0])
    platform_registry.platform.cache_clear()


@pytest.fixture(params=EVERY)
def documents(request: pytest.FixtureRequest) -> Documents:
    name = f"documents-{uuid.uuid4().hex[:8]}"
    if request.param == "memory":
        return MemoryDocuments()
    if request.param == "toy":
        made = request.getfixturevalue("toy")
        return made.ToyDocuments(made.File(request.getfixturevalue("tmp_path") / name))
    if request.param == "postgresql":
        return PostgresDocuments(request.getfixturevalue("store"), name)
    clients = clients_of(request)
    documents_table(clients, name)
    return DynamoDocuments(clients, name)
