"""The platforms of the contract tests, one of which is found by its entry point alone
(`packages/modelstack/tests/toy_platform`).
"""

from __future__ import annotations

import importlib
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from modelstack.platforms.aws.documents import DynamoDocuments
from modelstack.platforms.kubernetes.documents import PostgresDocuments
from modelstack.services import platform_registry
from modelstack.services.ports import Documents
from tests.pipeline.conftest import moto_url
from tests.platforms.aws.either import EITHER, clients_of
from tests.platforms.aws.mocked import documents_table
from tests.platforms.kubernetes.conftest import postgres, store
from tests.services.memory import MemoryDocuments

__all__ = ["moto_url", "postgres", "store"]


EVERY = ["memory", "toy", *EITHER, pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))]


TOY = Path(__file__).resolve().parents[1] / "toy_platform"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of the toy platform, whose package is installed for this test."""
    monkeypatch.syspath_prepend(str(TOY))
    platform_registry.platform.cache_clear()
    yield importlib.import_module(platform_registry.platform("toy").stack.partition(":")[0])
    platform_registry.platform.cache_clear()


@pytest.fixture(params=EVERY)
def opened(request: pytest.FixtureRequest) -> Callable[[], Documents]:
    """Opens the same empty store of documents, as each process does."""
    name = f"documents-{uuid.uuid4().hex[:8]}"
    if request.param == "memory":
        return partial(lambda one: one, MemoryDocuments())
    if request.param == "toy":
        made, file = request.getfixturevalue("toy"), request.getfixturevalue("tmp_path") / name
        return lambda: made.ToyDocuments(made.File(file))
    if request.param == "postgresql":
        return partial(PostgresDocuments, request.getfixturevalue("store"), name)
    clients = clients_of(request)
    documents_table(clients, name)
    return partial(DynamoDocuments, clients, name)


@pytest.fixture
def documents(opened: Callable[[], Documents]) -> Documents:
    return opened()


def race(rounds: int, *attempts: Callable[[int], bool]) -> list[list[int]]:
    """Run all attempts at the same time, round by round; the rounds that each one won."""
    start = threading.Barrier(len(attempts), timeout=60)

    def another_goes_on(frame: FrameType, *_: object) -> Any:
        time.sleep(1e-5)
        return None if "/lib/python" in frame.f_code.co_filename else another_goes_on

    def won(attempt: Callable[[int], bool]) -> list[int]:
        sys.settrace(another_goes_on)  # after each line, else one often ends before the next one begins
        turns = list[int]()
        for turn in range(rounds):
            start.wait()
            time.sleep(0.01 - time.time() % 0.01)  # a barrier lets one go long before the others
            turns += [turn] * attempt(turn)
        return turns

    with ThreadPoolExecutor(len(attempts)) as pool:
        return [*pool.map(won, attempts)]
