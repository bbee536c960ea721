"""Every strategy by itself: the shares that it gives, who answers whom, and its end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.config.strategy_settings import AB, AllAtOnce, Linear, Shadow
from rollout.core.state import RolloutState
from rollout.judge.metrics import Metric
from tests.conformance.in_memory import MemoryStage
from tests.conformance.row import BOTH, PROMOTED, QUICK, Expected, Played, Row, play, prepare, rolled_back, wrong
from tests.conformance.stage import FaultStage


def _taken_back(stage: FaultStage, row: Row) -> RolloutState:
    return stage.trial(
        "challenger", row.plan, lambda stage: stage.controller().roll_back(stage.person("the button was moved too"))
    )


ROWS: tuple[Row, ...] = (
    Row(
        name="all-at-once",
        happens="Everything goes to the challenger, which is promoted when no alarm rang.",
        plan=replace(QUICK, steps=AllAtOnce(bake_seconds=3).shares()),
        expects=Expected("promoted", "release", ("baked",), "challenger", BOTH),
    ),
    Row(
        name="shadow",
        happens="The challenger answers copies only, and is promoted on them.",
        plan=replace(QUICK, steps=Shadow(percent=100, bake_seconds=2).shares()),
        expects=PROMOTED,
    ),
    Row(
        name="ab-taken-back",
        happens="A fixed split, which a person ends.",
        plan=replace(QUICK, steps=AB(weight=30, seconds=100).shares()),
        drive=_taken_back,
        expects=rolled_back("person", "ada", says="the button"),
    ),
    Row(
        name="ab-until-decided",
        happens="A fixed split until the challenger is shown better: the champion fails two requests in five.",
        champion={"status": 500, "share": 0.4},
        plan=replace(
            QUICK, steps=AB(weight=50).shares(), metrics=(Metric("errors", "rate", 0.1),), promote_when="better"
        ),
        expects=replace(PROMOTED, says="errors better", fails=frozenset({"champion"})),
    ),
    Row(
        name="linear",
        happens="Two equal steps, and then everything.",
        plan=replace(QUICK, steps=Linear(step_percent=40, bake_seconds=1).shares()),
        expects=PROMOTED,
    ),
)
SHARES = {"all-at-once": [100], "shadow": [0], "ab-taken-back": [30], "ab-until-decided": [50], "linear": [40, 80]}


def _plays(row: Row) -> Played:
    stage = MemoryStage()
    prepare(row, stage)
    seen = play(row, stage)
    assert wrong(row, seen) == []
    return seen


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_strategy_gives_the_shares_that_it_says(row: Row) -> None:
    seen = _plays(row)
    steps = [event for event in seen.state.history if event.kind == "weights"]
    assert [event.weights.get("v-challenger", 0) for event in steps] == SHARES[row.name]
    if row.expects.outcome == "promoted":
        (promoting,) = [event for event in seen.state.history if event.kind == "promoting"]
        left = [event.at for event in (*steps[1:], promoting)]
        baked = [end - event.at for event, end in zip(steps, left, strict=True)]
        assert all(seconds >= step.bake_seconds for seconds, step in zip(baked, row.plan.steps, strict=True)), baked


def test_nobody_gets_an_answer_of_a_shadow() -> None:
    (row,) = [row for row in ROWS if row.name == "shadow"]
    seen = _plays(row)
    (promoting,) = [event for event in seen.state.history if event.kind == "promoting"]
    assert {one.variant for one in seen.asked if one.at < promoting.at} == {"v-champion"}
    assert not any(event.weights.get("v-challenger") for event in seen.state.history if event.at < promoting.at)
