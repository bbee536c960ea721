from __future__ import annotations

from typing import Any

import pytest

from platforms.kubernetes.kinds import PACKAGE
from platforms.kubernetes.versions import ModelPackages
from rollout.core.errors import Busy, RolloutError
from tests.platforms.kubernetes.world import TestClock, World


@pytest.fixture
def registry(world: World) -> ModelPackages:
    world.package("p-1")
    return ModelPackages(world.api, clock=TestClock())


def name(world: World) -> str:
    return f"{world.api.namespace}/p-1"


def test_a_verdict_stands_with_its_reason_and_time(world: World, registry: ModelPackages) -> None:
    assert registry.approval(name(world)) == "PendingManualApproval"
    registry.set_approval(name(world), "Rejected", "errors worse:\n3.1% of 1,904")
    assert registry.approval(name(world)) == "Rejected"
    status = world.api.get(PACKAGE, "p-1")["status"]
    assert status["why"] == "errors worse: 3.1% of 1,904"
    assert status["at"].endswith("Z")


def test_the_same_verdict_is_not_written_again(world: World, registry: ModelPackages) -> None:
    registry.set_approval(name(world), "Approved", "not worse")
    before = world.api.get(PACKAGE, "p-1")
    registry.set_approval(name(world), "Approved", "not worse")
    assert world.api.get(PACKAGE, "p-1") == before


def test_one_who_always_loses_the_race_is_told_to_come_again(world: World, registry: ModelPackages) -> None:
    put = world.api.replace_status

    def late(kind: Any, obj: Any) -> Any:
        found = world.api.get(PACKAGE, "p-1")
        status = {**(found.get("status") or {}), "why": f"{(found.get('status') or {}).get('why', '')}."}
        put(PACKAGE, {**found, "status": status})
        return put(kind, obj)

    world.api.replace_status = late  # type: ignore[method-assign]
    with pytest.raises(Busy, match="all the time"):
        registry.set_approval(name(world), "Rejected", "alarm")


@pytest.mark.parametrize("package", ["p-1", "elsewhere/p-1", "arn:aws:sagemaker:eu-west-1:1:model-package/m/1"])
def test_a_package_of_another_place_is_refused(registry: ModelPackages, package: str) -> None:
    with pytest.raises(RolloutError, match="expected NAMESPACE/NAME in namespace"):
        registry.approval(package)
