from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from modelstack.records.audit.chain import Chain
from modelstack.records.audit.record import Entry, RecordKind
from modelstack.rollout.core.endings import REJECTED_MOST, concluded, turn_back
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.plan import Step
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import HISTORY, WAITING, Phase, RolloutState, StateError
from modelstack.rollout.core.transitions import begin, clear
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason
from tests.rollout.worlds import PLAN, challenged, release, served


def test_every_state_of_a_rollout_survives_json() -> None:
    world = served()
    world.controller().release(release("b"), "pair-ab", PLAN)
    states = [world.state]
    world.controller().follow(900, progress=lambda seen: states.append(seen.state))
    world.controller().roll_back(Reason("person", "ada", "enough"))
    states.append(world.state)
    assert {state.phase.value for state in states} >= {"preparing", "baking", "promoting", "idle", "restoring"}
    for state in states:
        assert RolloutState.from_json(state.to_json()) == state


def test_a_state_of_a_newer_program_is_refused_not_guessed() -> None:
    value = json.loads(RolloutState("endpoint").to_json())
    with pytest.raises(StateError, match="journal: got version 2, this library reads up to 1"):
        RolloutState.from_json(json.dumps({**value, "version": 2}))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": 1, "phase": "dancing"}'])
def test_what_is_no_state_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(StateError):
        RolloutState.from_json(text)


def test_a_state_that_has_lost_a_field_is_refused_and_not_read_as_one_without_a_champion() -> None:
    value = json.loads(served().state.to_json())
    for name in value.keys() - {"version", "missing_since", "reductions", "requested"}:
        rest = {key: item for key, item in value.items() if key != name}
        with pytest.raises(StateError, match=f"missing {name}"):
            RolloutState.from_json(json.dumps(rest))


def test_a_journal_of_a_program_that_knew_of_no_missing_metrics_is_read() -> None:
    world = challenged()
    value = json.loads(world.state.to_json())
    assert value["phase"] == "baking"
    for owner, name in ((value, "missing_since"), (value, "reductions"), (value["plan"], "metrics_timeout_seconds")):
        del owner[name]
    del value["plan"]["warm_up_requests"], value["requested"]
    assert RolloutState.from_json(json.dumps(value)) == replace(world.state, requested=None)


def test_a_release_without_a_name_is_refused_by_field() -> None:
    value = release("a").as_dict()
    with pytest.raises(ValueError, match=r"release\.variant: got ''"):
        Release.from_dict({**value, "variant": ""})
    del value["config_name"]
    with pytest.raises(ValueError, match="missing config_name"):
        Release.from_dict(value)


def test_history_keeps_its_tail_only() -> None:
    state = RolloutState("endpoint")
    for number in range(HISTORY + 5):
        state = state.noting(number, "cleared", str(number))
    assert len(state.history) == HISTORY
    assert state.history[-1].release == str(HISTORY + 4)


@pytest.mark.slow
def test_of_more_news_than_can_wait_people_are_told_how_much_they_are_not_told() -> None:
    state = RolloutState("endpoint")
    for number in range(1000):
        state = state.noting(number, "cleared", str(number))
        assert len(state.outbox) <= WAITING
    first, *rest = state.outbox
    assert (first.kind, first.numbers["events"] + len(rest)) == ("untold", 1000)
    assert first.what == f"{1000 - len(rest)} older events could not be reported in time"
    assert [event.release for event in rest][-1] == "999"


def crowded(reason: dict[str, Any]) -> Chain:
    """An audit record that was not put away until no release could begin any more, nor for some time after that."""
    chain, after = Chain(), 0
    while after < 20:
        what = {"event": "rolled_back", "release": "b", "reason": reason, "evidence": [reason] * 10}
        chain = chain.noting(Entry(0.0, RecordKind.VERDICT, what)).sealed("endpoint", "arn:" + "a" * 100)
        after += chain.crowded
    return chain


@pytest.mark.slow
def test_a_journal_with_all_that_it_may_hold_is_written() -> None:
    wordy = Reason("endpoint", "v-b", "x" * 1024, {f"number_{n}": 1.5 for n in range(20)}, Kind.RELEASE_DOWN)
    plan = replace(PLAN, steps=tuple(Step(weight, 1, approve=True) for weight in range(1, 100)))
    state = replace(served().state, plan=plan)
    for number in range(REJECTED_MOST):
        trial = replace(state, phase=Phase.ROLLING_BACK, challenger=release(f"{number:012d}"))
        verdict = Verdict(
            "rolled_back", wordy, f"{number:06d}-{number:012d}", f"{number:012d}", "f" * 64, "sha256:" + "f" * 64, 0.0
        )
        state = concluded(replace(trial, decided=replace(verdict, evidence=(wordy,) * 10)), float(number))
        state = replace(state, audit=Chain())
    state = replace(state, audit=crowded(asdict(wordy)))
    assert len(state.to_json()) < 400_000  # DynamoDB takes 400 KB an item
    state = replace(state, audit=state.audit.kept(state.audit.number))
    assert len(state.rejected) == REJECTED_MOST
    state = RolloutState.from_json(state.to_json())
    newest, oldest = state.rejected[f"{REJECTED_MOST - 1:012d}"], state.rejected[f"{0:012d}"]
    assert (newest.reason, oldest.reason.text) == (wordy, "by v-b; it was long ago, and the numbers are no longer kept")
    with pytest.raises(RolloutError, match=r"250 releases are rejected, allowed are 250.*the oldest is 000000000000"):
        begin(state, release("z"), "pair-az", PLAN, 1000.0)
    cleared = clear(state, f"{0:012d}", 1000.0)
    assert begin(cleared, release("z"), "pair-az", PLAN, 1000.0).challenger == release("z")


@pytest.mark.slow
def test_releases_that_supersede_each_other_all_day_leave_a_journal_as_large_as_one() -> None:
    world = served()
    for number in range(120):
        one = release(f"{number:012d}")
        world.configs[f"pair-{number}"] = {"v-a": 1.0, one.variant: 0.0}
        world.controller().release(one, f"pair-{number}", PLAN)
        world.clock.sleep(number % 4)
        assert len(world.state.retiring) <= 3
        assert world.serving in world.state.configs()
    assert len(world.state.to_json()) < 100_000


def test_releases_and_configs_list_all_that_a_rollback_would_need() -> None:
    world = served()
    world.controller().release(release("b"), "pair-ab", PLAN)
    world.controller().follow(900)
    world.controller().release(release("c"), "pair-bc", PLAN)
    world.controller().release(release("d"), "pair-bd", PLAN)
    state = world.state
    assert [item.id for item in state.releases()] == ["b", "d", "a", "c"]
    assert state.configs() == ("solo-b", "solo-d", "solo-a", "solo-c", "pair-bd", "pair-bc")


def test_how_much_is_copied_is_kept_of_a_trial_and_of_one_that_was_superseded() -> None:
    world = served()
    world.configs["shadow-ab"], world.shadows["shadow-ab"] = {"v-a": 1.0}, ("v-b", 40)
    copying = replace(PLAN, steps=(Step(40, 10, shadow=True), *PLAN.steps))
    world.controller().release(release("b"), "pair-ab", copying, shadow_config="shadow-ab")
    assert RolloutState.from_json(world.state.to_json()).copied == 40
    world.controller().release(release("c"), "pair-ac", PLAN)
    state = RolloutState.from_json(world.state.to_json())
    (old,) = state.retiring
    assert (old.shadow_config, old.copied, state.copied) == ("shadow-ab", 40, None)
    text = world.state.to_json().replace('"copied": 40, ', "")
    with pytest.raises(StateError, match="copied"):
        RolloutState.from_json(text)


def test_a_verdict_survives_json_with_its_numbers() -> None:
    beside = Reason("replay", "requests", numbers={"requests": 3.0}, kind=Kind.REPLAY_UNCHECKED)
    reason = Reason("judge", "errors", "", {"margin": 0.02}, Kind.WORSE, {"metric_kind": "rate"}, beside)
    verdict = Verdict("rolled_back", reason, "000001-b", "b", "recipe", "sha256:b", 12.5)
    state = RolloutState("endpoint", verdict=verdict, rejected={"b": verdict})
    assert RolloutState.from_json(state.to_json()).rejected["b"].reason == reason


def test_nothing_new_begins_while_the_audit_record_cannot_be_put_away_but_a_trial_ends() -> None:
    state = replace(served().state, audit=crowded({"said": "x" * 2000}))
    with pytest.raises(RolloutError, match=r"release b cannot be recorded: \d+ audit records of endpoint wait"):
        begin(state, release("b"), "pair-ab", PLAN, 1000.0)
    trial = replace(state, phase=Phase.BAKING, challenger=release("b"))
    back = turn_back(trial, Reason("person", "ada", "enough"), 1000.0)
    assert isinstance(back, RolloutState)
    last = back.written("ada").audit.waiting[-1]
    assert (last.kind, last.who, last.what["event"]) == ("decision", "ada", "rolling_back")
    assert last.what["shortened"] is True
