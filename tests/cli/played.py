"""Looks at a simulated platform, as the commands take them of a cloud."""

from __future__ import annotations

from cli.view.snapshot import AlarmView, Happened, Snapshot, VariantView, moment, role, verdict_view
from cli.view.trial import trial
from tests.simulator.platform import World


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
