"""What is known of a trial: its step, evidence against bounds, requests, time, and what it waits for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from modelstack.cli.view.board import Board
from modelstack.cli.view.trial import Proof, TrialView, evidence_of, replay_bounds, trial
from modelstack.rollout.core.plan import ReplayGate, Step
from modelstack.rollout.core.state import Phase, Replayed
from modelstack.rollout.judge.metrics import Metric
from modelstack.rollout.reason import Reason
from tests.cli.conftest import METRICS, plan
from tests.cli.played import look, printed
from tests.simulator.platform import World

Begin = Callable[..., World]


def seen(world: World) -> TrialView:
    progress = world.controller().status()
    found = trial(progress.state, progress.decision, world.clock.time())
    assert found is not None
    return found


def test_a_trial_tells_its_step_bake_requests_and_time_left(begin: Begin) -> None:
    world = begin(plan(Step(10, 60), Step(50, 60)), 30)
    now = seen(world)
    assert (now.challenger, now.champion, now.step, now.steps, now.weight, now.shadow) == ("b", "a", 1, 2, 10, False)
    assert 0 < now.baked < now.bake_seconds == 60
    assert 0 < now.requests < 60 * now.baked
    assert now.min_requests == 50
    assert now.seconds_left == pytest.approx(1200 - (world.clock.time() - world.state.started_at))


@pytest.mark.parametrize(("max_seconds", "short"), [(150, True), (5000, False)])
def test_a_time_that_is_too_short_at_this_pace_is_told_long_before_it_is_over(
    begin: Begin, max_seconds: float, short: bool
) -> None:
    world = begin(plan(Step(50, 30), metrics=(Metric("errors", "rate", 0.004),), max_seconds=max_seconds), 70)
    now = seen(world)
    assert now.seconds_left > max_seconds / 3
    assert now.short == short
    assert ("at this pace that is probably too short for a verdict" in printed(Board(look(world)), 80)) == short


def test_what_was_not_confirmed_looked_at_or_kept_is_not_made_up(begin: Begin) -> None:
    world = begin()
    unconfirmed = seen(world)
    assert (unconfirmed.step, unconfirmed.baked, unconfirmed.requests) == (0, None, None)
    world.controller().follow(25)
    found = trial(world.state, None, world.clock.time())
    assert (found.requests, found.evidence, found.waits_for) == (None, (), "the metrics were not looked at")
    assert trial(replace(world.state, plan=None), None, world.clock.time()) is None, "a damaged journal"


def test_evidence_stands_beside_what_is_needed_of_it(begin: Begin) -> None:
    now = seen(begin(plan(Step(50, 60), metrics=METRICS), 59))
    by_name = {item.metric: item for item in now.evidence}
    errors, slow, accuracy = by_name["errors"], by_name["latency_p99"], by_name["accuracy"]
    assert (errors.kind, errors.prove, errors.margin, errors.worse.need) == ("rate", True, 0.02, 60)
    assert (errors.not_worse.need, errors.better) == (20, None)
    assert (slow.kind, slow.prove) == ("quantile", False)
    assert 0.8 < accuracy.challenger < 1
    assert accuracy.challenger_count > 0
    assert errors.answer == ("not worse" if errors.not_worse.have >= 20 else "unknown")


def test_evidence_that_it_is_better_is_told_when_it_is_asked(begin: Begin) -> None:
    now = seen(begin(plan(Step(50, 60), promote_when="better"), 40))
    assert now.evidence[0].better is not None


@pytest.mark.parametrize(
    ("have", "need", "share"), [(1, 20, 0), (0.01, 20, 0), (20, 20, 1), (1e9, 20, 1), (100, 10_000, 0.5)]
)
def test_evidence_is_drawn_on_a_log_scale(have: float, need: float, share: float) -> None:
    assert Proof(have, need).share == pytest.approx(share)


def test_reasons_without_evidence_are_left_out() -> None:
    assert evidence_of([Reason("judge", "metrics", "unreachable"), Reason("judge", "bake", "baked", {"x": 1.0})]) == ()


def test_a_wait_for_an_approval_says_so_and_takes_no_time(begin: Begin) -> None:
    world = begin(plan(Step(20, 20, approve=True), Step(50, 20)), 600)
    before = seen(world)
    world.clock.sleep(3000)
    after = seen(world)
    assert world.state.phase is Phase.PAUSED
    assert after.approval
    assert "needs a person's approval" in after.waits_for
    assert after.seconds_left == before.seconds_left


def test_a_trial_that_is_held_has_no_time_left_and_says_what_ends_it(begin: Begin) -> None:
    world = begin(plan(max_seconds=100, on_timeout="hold", min_requests=1_000_000), 300)
    now = seen(world)
    assert world.state.phase is Phase.HELD
    assert (now.seconds_left, now.approval) == (0, False)
    assert "until a person takes it back, or gives it more time" in now.waits_for


def test_a_replay_is_awaited_and_then_told(begin: Begin) -> None:
    world = begin(plan(replay=ReplayGate()))
    assert seen(world).replayed == "captured requests come before any live traffic"
    world.controller().follow(10)
    assert "captured requests replayed: 0 errors" in seen(world).replayed


@pytest.mark.parametrize(
    ("outcome", "shown", "failed"),
    [
        (Replayed(100, 1, 0, 1.0), 3, ["errors"]),
        (Replayed(100, 0, 21, 1.0), 3, ["changed decisions"]),
        (Replayed(100, 0, 0, 3.5), 3, ["latency"]),
        (Replayed(100, 0, 0, 1.0), 3, []),
        (Replayed(9, 0, 0, None), 2, []),
        (Replayed(0, 0, 0, None), 0, []),
    ],
)
def test_each_number_of_a_replay_that_was_measured_stands_beside_what_is_allowed(
    outcome: Replayed, shown: int, failed: list[str]
) -> None:
    rows = replay_bounds(plan(replay=ReplayGate()), outcome)
    assert [row.what for row in rows] == ["errors", "changed decisions", "latency"][:shown]
    assert [row.what for row in rows if not row.within] == failed
    assert replay_bounds(plan(), outcome) == []
