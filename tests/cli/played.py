"""Looks at a simulated platform, as the commands take them of a cloud, and what is written of them."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console, RenderableType

from cli.view.snapshot import AlarmView, Happened, Snapshot, VariantView, moment, role, verdict_view
from cli.view.trial import trial
from tests.simulator.platform import World


def printed(shown: RenderableType, width: int = 200, **console: Any) -> str:
    """What a console without a terminal writes."""
    file = io.StringIO()
    Console(file=file, width=width, **console).print(shown)
    return file.getvalue()


def look(world: World, *alarms: AlarmView) -> Snapshot:
    """What `modelstack watch` would see of a world now."""
    progress, live = world.controller().status(), world.live()
    state, going = progress.state, live.shares(desired=True)
    variants = [
        VariantView(name, role(name, state), weight, going[name], 1, "", asked=state.weights.get(name))
        for name, weight in live.shares().items()
    ]
    variants += [
        VariantView(name, role(name, state), 0.0, 0.0, 1, "", copies=item.weight) for name, item in live.shadows.items()
    ]
    return Snapshot(
        at=moment(world.clock.time()),
        stack="local",
        endpoint="endpoint",
        status="Updating" if live.status == "changing" else "InService",
        config=live.config,
        phase=str(state.phase),
        champion=state.champion.id if state.champion else None,
        challenger=state.challenger.id if state.challenger else None,
        champion_package=None,
        challenger_package=None,
        verdict=verdict_view(state.verdict),
        variants=tuple(variants),
        alarms=alarms or (AlarmView("endpoint-v-b-5xx", "OK", ""),),
        packages=(),
        trial=trial(state, progress.decision, world.clock.time()),
        events=tuple(map(Happened.of, state.history)),
        previous=state.previous.id if state.previous else None,
        moved=verdict_view(state.moved) if state.last is state.moved else None,
    )
