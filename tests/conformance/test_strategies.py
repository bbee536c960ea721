"""Every strategy alone, on an endpoint that really answers: the shares that it gives, who answers whom, and its end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace

import pytest
from rollout.sticky import StickyEndpoint, assigned

from rollout.controller.controller import Progress
from rollout.core import strategies
from rollout.core.state import Phase, RolloutState
from rollout.judge.metrics import Metric
from tests.conformance.of_events import BOTH
from tests.conformance.of_models import REJECTED
from tests.conformance.row import QUICK, SECONDS, Expected, Played, Row, differences
from tests.conformance.stage import FaultStage

PROMOTED = Expected("promoted", "judge", ("errors",), "challenger", BOTH)
BODY = json.dumps({"instances": [{"distance": 1400.0}]}).encode()


def customers(shares: Sequence[int]) -> dict[str, int]:
    """A dozen customers who get the challenger at each of these shares, not before, and a dozen who keep the champion.

    Returns:
        The customers, with the share from which on the challenger answers them; 100 is the promotion.
    """
    found: dict[int, list[str]] = {share: [] for share in (*shares, 100)}
    for key in (f"customer-{number}" for number in range(10_000)):
        first = next(share for share in found if _of(key, share) == "v-challenger")
        if len(found[first]) < 12:
            found[first].append(key)
    return {key: share for share, keys in found.items() for key in keys}


def _of(key: str, share: int) -> str | None:
    return assigned(key, {"v-champion": 100 - share, "v-challenger": share})


def _ask(endpoint: StickyEndpoint, keys: Iterable[str]) -> Mapping[str, str]:
    """Who answers each customer."""
    answers = {key: endpoint.invoke(key, Body=BODY, ContentType="application/json") for key in keys}
    return {key: answer["InvokedProductionVariant"] for key, answer in answers.items()}


def _by_key(stage: FaultStage, row: Row) -> RolloutState:
    """At each step, and after the end, every customer is answered by the model that is theirs by the weights."""
    shares = [step.weight for step in row.plan.steps]
    keys, endpoint = customers(shares), StickyEndpoint(stage.clients, stage.names.endpoint, seconds=0)
    asked: list[int] = []

    def watch(seen: Progress) -> None:
        state = seen.state
        if state.phase is Phase.BAKING and state.step_started_at is not None and len(asked) == state.step:
            share = shares[state.step]
            asked.append(share)
            theirs = {key: "v-challenger" if first <= share else "v-champion" for key, first in keys.items()}
            assert _ask(endpoint, keys) == theirs

    state = stage.watched("challenger", row.plan, watch)
    assert asked == shares
    assert set(_ask(endpoint, keys).values()) == {"v-challenger"}
    return state


def _taken_back(stage: FaultStage, row: Row) -> RolloutState:
    """A person takes the test back: its customers are the champion's again, whatever a client remembers."""
    (share,) = [step.weight for step in row.plan.steps]
    keys, endpoint = customers([share]), StickyEndpoint(stage.clients, stage.names.endpoint, seconds=3600)

    def take_back(stage: FaultStage) -> None:
        assert set(_ask(endpoint, keys).values()) == {"v-champion", "v-challenger"}
        stage.controller().roll_back(stage.person("the button was moved too"))

    state = stage.trial("challenger", row.plan, take_back)
    assert set(_ask(endpoint, keys).values()) == {"v-champion"}
    return state


ROWS: tuple[Row, ...] = (
    Row(
        name="all-at-once",
        happens="Everything goes to the challenger, which is promoted when no alarm rang.",
        plan=replace(QUICK, steps=strategies.all_at_once(3)),
        expects=Expected("promoted", "release", ("baked",), "challenger", BOTH),
    ),
    Row(
        name="shadow",
        happens="The challenger answers copies only, and is promoted on them.",
        plan=replace(QUICK, steps=strategies.shadow(100, 2)),
        expects=PROMOTED,
    ),
    Row(
        name="ab-taken-back",
        happens="A fixed split by customer, which a person ends.",
        plan=replace(QUICK, steps=strategies.ab(30, 100)),
        drive=_taken_back,
        expects=Expected("rolled_back", "person", ("ada",), "champion", REJECTED, says="the button"),
    ),
    Row(
        name="ab-until-decided",
        happens="A fixed split until the challenger is shown better: the champion fails two requests in five.",
        champion={"status": 500, "share": 0.4},
        plan=replace(
            QUICK, steps=strategies.ab(50, None), metrics=(Metric("errors", "rate", 0.1),), promote_when="better"
        ),
        expects=replace(PROMOTED, says="errors better", fails=frozenset({"champion"})),
    ),
    Row(
        name="linear",
        happens="Two equal steps, and then everything; customers move to the challenger and never back.",
        plan=replace(QUICK, steps=strategies.linear(40, 1)),
        drive=_by_key,
        expects=PROMOTED,
    ),
)
SHARES = {"all-at-once": [100], "shadow": [0], "ab-taken-back": [30], "ab-until-decided": [50], "linear": [40, 80]}
"""Percent of the answers that are asked for, step by step."""


@pytest.mark.e2e
@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_strategy_gives_the_shares_that_it_says(row: Row, played: dict[str, Future[Played]]) -> None:
    seen = played[row.name].result(SECONDS)
    found = differences(row.expects, seen)
    assert not found, "\n".join(found)
    steps = [event for event in seen.state.history if event.kind == "weights"]
    assert [event.weights.get("v-challenger", 0) for event in steps] == SHARES[row.name]
    if row.expects.outcome == "promoted":
        (promoting,) = [event for event in seen.state.history if event.kind == "promoting"]
        left = [event.at for event in (*steps[1:], promoting)]
        baked = [end - event.at for event, end in zip(steps, left, strict=True)]
        assert all(seconds >= step.bake_seconds for seconds, step in zip(baked, row.plan.steps, strict=True)), baked


@pytest.mark.e2e
@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("row", [row for row in ROWS if row.name == "shadow"], ids=lambda row: row.name)
def test_nobody_gets_an_answer_of_a_shadow(row: Row, played: dict[str, Future[Played]]) -> None:
    seen = played[row.name].result(SECONDS)
    (promoting,) = [event for event in seen.state.history if event.kind == "promoting"]
    assert {one.variant for one in seen.asked if one.at < promoting.at} == {"v-champion"}
    assert not any(event.weights.get("v-challenger") for event in seen.state.history if event.at < promoting.at)
