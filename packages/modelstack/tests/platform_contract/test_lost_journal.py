"""What every platform promises when the journal is lost, or older than what serves: no release goes live untested."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelstack.rollout.core.lost import LostJournal
from modelstack.rollout.core.state import Phase, RolloutState
from tests.platform_contract.test_traffic import PAIR, Endpoint, endpoint
from tests.rollout.worlds import PLAN, fresh, release
from tests.simulator.platform import World

__all__ = ["endpoint"]

OLD, NEW, OTHER = (replace(release(name), config_name=PAIR) for name in ("old", "new", "other"))


def release_on(endpoint: Endpoint, world: World, name: str) -> RolloutState:
    wanted = replace(release(name), config_name=PAIR if name == "old" else "solo-other")
    return world.controller(traffic=endpoint.traffic).release(wanted, None, PLAN).state


def test_without_a_journal_no_release_takes_the_place_of_what_serves(endpoint: Endpoint) -> None:
    world = fresh()
    before = endpoint.traffic.read()
    for _ in range(2):
        with pytest.raises(LostJournal, match=r"serves v-old .* the journal is empty"):
            release_on(endpoint, world, "other")
    assert endpoint.traffic.read() == before
    assert world.state == RolloutState("endpoint")


def test_a_lost_journal_is_made_again_by_a_release_of_what_serves_alone(endpoint: Endpoint) -> None:
    world = fresh()
    endpoint.traffic.set_weights({"v-old": 75, "v-new": 25})
    endpoint.settle()
    with pytest.raises(LostJournal, match="serves v-old and v-new"):
        release_on(endpoint, world, "old")
    with pytest.raises(LostJournal, match="serves v-old and v-new"):  # nobody judges this trial any more
        world.controller(traffic=endpoint.traffic).tick()
    endpoint.traffic.set_weights({"v-old": 100, "v-new": 0})
    endpoint.settle()
    before = endpoint.traffic.read()
    state = release_on(endpoint, world, "old")
    assert (state.phase, state.champion) == (Phase.IDLE, OLD)
    assert endpoint.traffic.read() == before


def test_a_journal_that_is_older_than_what_serves_moves_nothing(endpoint: Endpoint) -> None:
    """Restored from a backup of a time before the release that serves."""
    world = fresh()
    world.state = replace(RolloutState("endpoint", phase=Phase.IDLE, revision=7), champion=OTHER, previous=None)
    before, controller = endpoint.traffic.read(), world.controller(traffic=endpoint.traffic)
    with pytest.raises(LostJournal, match=r"serves v-old .* at revision 7"):
        controller.tick()
    with pytest.raises(LostJournal):
        controller.release(NEW, PAIR, PLAN)
    assert endpoint.traffic.read() == before
    assert "which its journal does not know" in controller.status().doing
