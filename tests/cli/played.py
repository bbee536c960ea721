"""Looks at a simulated platform, as the commands take them of a cloud."""

from __future__ import annotations

from typing import Any

from cli.view.snapshot import AlarmView, Happened, Snapshot, VariantView, moment, role
from cli.view.trial import trial
from rollout.core.state import Verdict
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
        verdict=_ended(state.verdict),
        variants=tuple(variants),
        alarms=alarms or (AlarmView("endpoint-v-b-5xx", "OK", ""),),
        packages=(),
        trial=trial(state, progress.decision, world.clock.time()),
        events=tuple(Happened(moment(item.at), item.kind, item.text) for item in state.history),
        previous=state.previous.id if state.previous else None,
        moved=_ended(state.moved) if state.last is state.moved else None,
    )


def _ended(verdict: Verdict | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    return {
        "outcome": verdict.outcome,
        "release": verdict.release,
        "text": verdict.reason.text,
        "at": moment(verdict.at),
    }
