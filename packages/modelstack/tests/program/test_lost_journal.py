"""A program whose journal does not know what serves declares nothing: it would delete what serves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from modelstack.rollout.core.live import Live, Variant
from modelstack.rollout.core.state import RolloutState
from tests.program import on_cluster
from tests.program.recorded import LOCAL, OLD, World, idle, record_run, release

OWN = release(LOCAL)


def serves(variant: str, config: str) -> Live:
    return Live("ready", config, {variant: Variant(100, 100, 1)})


Run = Callable[..., World]
PLATFORMS: dict[str, tuple[Run, Any]] = {
    "aws": (partial(record_run, "local"), idle(OLD)),
    "kubernetes": (on_cluster.run_on_cluster, on_cluster.idle(on_cluster.OLD)),
}


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("state", ["lost", "old"])
def test_nothing_is_declared_while_something_serves_that_the_journal_does_not_know(platform: str, state: str) -> None:
    run, old = PLATFORMS[platform]
    known: RolloutState | None = old if state == "old" else None
    world = run(state=known, live=serves("v-newer", "solo-newer"))
    assert world.stopped is not None
    assert "serves v-newer (config solo-newer), which its journal does not know" in str(world.stopped)
    assert not [item for item in world.resources if item.type.startswith(("aws:", "kubernetes:"))]


def test_a_lost_journal_is_made_again_by_a_release_of_what_serves() -> None:
    new = on_cluster.NEW
    for world in (
        record_run("local", live=serves(OWN.variant, OWN.config_name)),
        on_cluster.run_on_cluster(live=serves(new.variant, new.config_name)),
    ):
        assert world.stopped is None
        assert world.rollout["live_state"]["gone"], "its revision may be that of the first release, which is no change"
    assert "gone" not in record_run("local").rollout["live_state"]
