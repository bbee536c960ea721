"""Whole rollouts with the real adapters on a running local cloud: real processes answer, real metrics are judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rollout.core.plan import Plan, Step
from rollout.core.state import Phase
from rollout.judge.metrics import Metric
from rollout.reason import Reason
from tests.platforms.aws.on_cloud import Clients, Stage, configured, point_at
from tests.platforms.load import wait_for

pytestmark = pytest.mark.e2e

PLAN = Plan(
    steps=(Step(30, 2), Step(60, 2)),
    metrics=(Metric("errors", "rate", 0.2),),
    min_requests=10,
    window_seconds=5,
    max_seconds=150,
)


@pytest.fixture(scope="module")
def stage(new_cloud: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    cloud = new_cloud(configured(tmp_path_factory.mktemp("config")))
    cloud.start()
    with pytest.MonkeyPatch.context() as patch:
        point_at(cloud, patch)
        yield Stage(Clients(), "story")


def test_a_champion_is_replaced_by_a_good_challenger_and_kept_from_a_bad_one(stage: Stage) -> None:
    first, good, bad = stage.release("a"), stage.release("b"), stage.release("c", status=500)
    stage.serve("a")
    state = stage.controller().release(first, None, PLAN).state
    if state.phase is Phase.MOVING:
        state = stage.controller().follow(60, poll=0.5)
    assert (state.champion, stage.approval("a")) == (first, "Approved")

    shares: list[dict[str, float]] = []
    with stage.load(rate=40) as load:
        stage.controller().release(good, stage.pair("a", "b"), PLAN)
        state = stage.controller().follow(
            150, poll=0.5, progress=lambda seen: shares.append(seen.live.shares() if seen.live else {})
        )
    assert state.verdict is not None
    assert (state.verdict.outcome, state.champion, stage.approval("b")) == ("promoted", good, "Approved")
    for expected in ({"v-a": 70.0, "v-b": 30.0}, {"v-a": 40.0, "v-b": 60.0}, {"v-b": 100.0}):
        assert expected in shares
    assert {one.status for one in load.asked} == {200}

    with stage.load(rate=40) as load:
        stage.controller().release(bad, stage.pair("b", "c"), PLAN)
        state = stage.controller().follow(150, poll=0.5)
        over = time.time()
        wait_for(lambda: sum(one.at > over for one in load.asked) >= 20)
    assert state.verdict is not None
    assert (state.verdict.outcome, state.champion, stage.approval("c")) == ("rolled_back", good, "Rejected")
    assert state.verdict.reason.numbers["challenger_rate"] == 1.0
    assert {one.status for one in load.asked if one.at > over} == {200}
    assert stage.live().config == good.config_name

    # A person brings the first champion back.
    stage.controller().roll_back(Reason("person", "ada", "looks odd"))
    state = stage.controller().follow(60, poll=0.5)
    assert (state.champion, stage.approval("b"), state.previous) == (first, "Rejected", None)
