"""Worlds and releases for the rollout's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rollout.core.plan import Plan, Step
from rollout.core.release import Release
from tests.simulator.platform import World

PLAN = Plan(steps=(Step(10, 30), Step(50, 30)), window_seconds=10, max_seconds=1200)


def make_release(name: str) -> Release:
    return Release(
        id=name,
        recipe=f"{name}-recipe",
        package_digest=f"sha256:{name}",
        archive_uri=f"s3://bucket/packages/{name}/model.tar.gz",
        image_uri="registry/serving:1",
        manifest_sha256=f"{name}-manifest",
        model_package_arn=f"arn:{name}",
        model_name=f"model-{name}",
        variant=f"v-{name}",
        config_name=f"solo-{name}",
        instances="1 x ml.m5.large",
    )


def make_world(**changes: Any) -> World:
    configs = {f"solo-{name}": {f"v-{name}": 1.0} for name in "abcd"}
    configs |= {f"pair-{x}{y}": {f"v-{x}": 1.0, f"v-{y}": 0.0} for x in "abcd" for y in "abcd" if x != y}
    configs["solo-a-large"] = {"v-a": 1.0}
    rates = {f"v-{name}": 0.01 for name in "abcd"}
    values: dict[str, Any] = {"configs": configs, "serving": "solo-a", "error_rates": rates, "requests_per_second": 60}
    return World(**{**values, **changes})


@pytest.fixture
def plan() -> Plan:
    return PLAN


@pytest.fixture
def release() -> Callable[[str], Release]:
    """Makes a release by its short name."""
    return make_release


@pytest.fixture
def fresh() -> Callable[..., World]:
    """Makes a world where nothing was ever released; the endpoint serves release a's own config."""
    return make_world


@pytest.fixture
def served() -> Callable[..., World]:
    """Makes a world where release a is champion."""

    def make(**changes: Any) -> World:
        world = make_world(**changes)
        world.controller().release(make_release("a"), None, PLAN)
        return world

    return make
