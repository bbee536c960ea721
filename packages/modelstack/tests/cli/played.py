"""Looks at a simulated platform, as the commands take them of a cloud, and what is written of them."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from rich.console import Console, RenderableType

from modelstack.cli.platform.facts import AlarmView, EndpointState
from modelstack.cli.target import Target
from modelstack.cli.view.snapshot import Snapshot, seen_at
from modelstack.rollout.controller.commands import PLAIN
from modelstack.rollout.core.live import Variant
from tests.simulator.platform import World


def printed(shown: RenderableType, width: int = 200, **console: Any) -> str:
    file = io.StringIO()
    Console(file=file, width=width, **console).print(shown)
    return file.getvalue()


TARGET: Any = SimpleNamespace(endpoint="endpoint", commands=PLAIN, outputs={}, on_kubernetes=False)
"""The target of a world, as far as commands on rollouts look at it."""


def of_ada(world: World) -> Any:
    return SimpleNamespace(
        caller=lambda: "arn:aws:iam::000000000000:user/ada", controller=lambda who: world.controller()
    )


def look(world: World, *alarms: AlarmView) -> Snapshot:
    progress, live = world.controller().status(), world.live()
    shares, going = live.shares(), live.shares(desired=True)
    # of a hundred, as the shares of a world's copies are
    variants = {name: Variant(weight, going[name], 1) for name, weight in shares.items()}
    shadows = {name: Variant(item.weight, item.weight, 1) for name, item in live.shadows.items()}
    status = "Updating" if live.status == "changing" else "InService"
    serves = EndpointState(status, replace(live, variants=variants, shadows=shadows))
    target, now = Target("local", "endpoint", "", {}), world.clock.time()
    fires = alarms or (AlarmView("endpoint-v-b-5xx", "OK", ""),)
    return seen_at(now, target, serves, progress.state, progress.decision, alarms=fires)
