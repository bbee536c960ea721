"""Fixtures of the adapters' tests, some of which belong to the packages whose ports they implement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from modelstack.rollout.core.plan import Plan
from modelstack.rollout.core.release import Release
from tests.pipeline.conftest import champion, clients, daily, moto_url, own_cache, place, run
from tests.platforms.aws.rights import held_to_rights
from tests.rollout import worlds
from tests.simulator.platform import World

if TYPE_CHECKING:
    from tests.platforms.aws.stubbed_endpoint import Endpoint

__all__ = ["champion", "clients", "daily", "held_to_rights", "moto_url", "own_cache", "place", "run"]


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    from tests.platforms.aws.stubbed_endpoint import an_endpoint

    with an_endpoint(monkeypatch) as made:
        yield made


@pytest.fixture
def plan() -> Plan:
    return worlds.PLAN


@pytest.fixture
def release() -> Callable[[str], Release]:
    return worlds.release


@pytest.fixture
def served() -> Callable[..., World]:
    return worlds.served
