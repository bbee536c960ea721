"""Worlds and releases for the rollout's tests."""

from __future__ import annotations

from typing import Any

from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.restored import Restored
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason
from tests.simulator.platform import World

ALARM = Reason("alarm", "v-b-5xx", "alarm v-b-5xx: 0.5 > 0.05")
PERSON = Reason("person", "ada", "rolled back by ada: looks odd")
PLAN = Plan(steps=(Step(10, 30), Step(50, 30)), window_seconds=10, max_seconds=1200)


def release(name: str) -> Release:
    return Release(
        id=name,
        recipe=f"{name}-recipe",
        package_digest=f"sha256:{name}",
        archive_uri=f"s3://bucket/packages/{name}/model.tar.gz",
        image_uri="registry/serving:1",
        manifest_sha256=f"{name}-manifest",
        version=f"arn:{name}",
        model_name=f"model-{name}",
        variant=f"v-{name}",
        config_name=f"solo-{name}",
        instances="1 x ml.m5.large",
    )


def fresh(**changes: Any) -> World:
    """A world where nothing was ever released; the endpoint serves release a's own config."""
    configs = {f"solo-{name}": {f"v-{name}": 1.0} for name in "abcd"}
    configs |= {f"pair-{x}{y}": {f"v-{x}": 1.0, f"v-{y}": 0.0} for x in "abcd" for y in "abcd" if x != y}
    configs |= {"solo-a-large": {"v-a": 1.0}, "shadow-ab": {"v-a": 1.0}}
    rates = {f"v-{name}": 0.01 for name in "abcd"}
    values: dict[str, Any] = {"configs": configs, "serving": "solo-a", "error_rates": rates, "requests_per_second": 60}
    return World(**{**values, "shadows": {"shadow-ab": ("v-b", 50)}, **changes})


def served(**changes: Any) -> World:
    """A world where release a is champion."""
    world = fresh(**changes)
    world.controller().release(release("a"), None, PLAN)
    return world


def challenge(world: World, name: str = "b", *, plan: Plan = PLAN, seconds: float = 40) -> None:
    """Put a release on trial beside a, and follow it for a while."""
    world.controller().release(release(name), f"pair-a{name}", plan, beside="solo-a")
    world.controller().follow(seconds, poll=1)


def challenged(*, plan: Plan = PLAN, seconds: float = 40, **changes: Any) -> World:
    """A world where release b is, or was, on trial beside a."""
    world = served(**changes)
    challenge(world, plan=plan, seconds=seconds)
    return world


def wish(of: str = "3f0c", said: str = "it sold more") -> Restored:
    reason = Reason("person", "ada", said, kind=Kind.RESTORED)
    return Restored(of, "c" * 64, "sha256:cd", "s3://bucket/key", "image", reason, 2.0, 1.0)
