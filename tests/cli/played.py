"""Looks at a simulated platform, as the commands take them of a cloud, and what is written of them."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console, RenderableType

from cli.target import Target
from cli.view.snapshot import AlarmView, Snapshot, seen_at
from tests.simulator.platform import World


def printed(shown: RenderableType, width: int = 200, **console: Any) -> str:
    """What a console without a terminal writes."""
    file = io.StringIO()
    Console(file=file, width=width, **console).print(shown)
    return file.getvalue()


def look(world: World, *alarms: AlarmView) -> Snapshot:
    """What `modelstack watch` would see of a world now."""
    progress, live = world.controller().status(), world.live()
    shares, going = live.shares(), live.shares(desired=True)
    copied = {name: item.weight / 100 * sum(shares.values()) for name, item in live.shadows.items()}
    described = {
        "EndpointStatus": "Updating" if live.status == "changing" else "InService",
        "EndpointConfigName": live.config,
        "ProductionVariants": [
            {"VariantName": name, "CurrentWeight": weight, "DesiredWeight": going[name], "CurrentInstanceCount": 1}
            for name, weight in shares.items()
        ],
        "ShadowProductionVariants": [
            {"VariantName": name, "CurrentWeight": weight, "CurrentInstanceCount": 1} for name, weight in copied.items()
        ],
    }
    target, now = Target("local", "endpoint", "", {}), world.clock.time()
    rings = alarms or (AlarmView("endpoint-v-b-5xx", "OK", ""),)
    return seen_at(now, target, described, progress.state, progress.decision, alarms=rings)
