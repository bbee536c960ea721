"""What of a rollout is recorded, with which facts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelstack.records.audit.record import AuditRecord
from modelstack.rollout.core import audited, event
from modelstack.rollout.core.endings import turn_back
from modelstack.rollout.core.plan import Step
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason
from tests.rollout.worlds import ALARM, PLAN, challenge, challenged, release, served
from tests.simulator.platform import MemoryJournal, World

ADA = Reason("person", "ada", "looks well", kind=Kind.APPROVED)


def told(world: World) -> list[tuple[str, str, str]]:
    return [(record.kind, record.what["event"], record.what["release"]) for record in world.records]


def one(world: World, event: str) -> AuditRecord:
    (found,) = (record for record in world.records if record.what["event"] == event)
    return found


def test_a_promotion_is_recorded_from_the_release_to_its_end_with_digests_and_evidence() -> None:
    world = challenged(seconds=900)
    assert told(world) == [
        ("release", "moving", "a"),
        ("promotion", "promoted", "a"),
        ("release", "preparing", "b"),
        ("decision", "promoting", "b"),
        ("promotion", "promoted", "b"),
    ]
    for record in world.records:
        name = record.what["release"]
        assert (record.what["package"], record.what["recipe"]) == (f"sha256:{name}", f"{name}-recipe")
        assert (record.endpoint, record.who) == ("endpoint", "test")
    evidence = world.records[-1].what["evidence"]
    assert [item["kind"] for item in evidence] == ["not_worse"]


def test_a_rollback_is_recorded_when_it_is_decided_and_when_it_is_done() -> None:
    world = challenged()
    world.controller().roll_back(ALARM, variant="v-b")
    world.controller().follow(60)
    decided, done = world.records[-2:]
    assert (decided.kind, decided.what["event"]) == ("decision", "rolling_back")
    assert (done.kind, done.what["event"]) == ("verdict", "rolled_back")
    assert decided.what["reason"]["name"] == done.what["reason"]["name"] == "v-b-5xx"
    assert done.time > decided.time


def test_a_champion_that_is_taken_back_is_a_restore_and_no_verdict_on_a_trial() -> None:
    world = challenged(seconds=900)
    world.controller().roll_back(ADA)
    world.controller().follow(60)
    restored = world.records[-1]
    assert (restored.kind, restored.what["release"], restored.what["champion"]) == ("restore", "b", "a")


def test_what_a_person_decides_is_recorded_with_the_persons_words() -> None:
    world = challenged(plan=replace(PLAN, steps=(Step(10, 30, approve=True),)), seconds=300)
    world.controller().approve(ADA)
    assert one(world, "paused").kind == "hold"
    approval = one(world, "approved")
    reason = approval.what["reason"]
    assert (approval.kind, reason["name"], reason["said"]) == ("approval", "ada", "looks well")
    world.controller().roll_back(ADA)
    world.controller().follow(60)
    world.controller().clear_rejection("b")
    cleared = one(world, "cleared")
    assert (cleared.kind, cleared.what["package"]) == ("clear", "sha256:b")


def test_an_exemption_is_recorded_and_the_promotion_without_a_trial_says_so() -> None:
    world = served(unstartable={"v-a"})
    challenge(world, seconds=300)
    world.controller().skip_trial("b", Reason("person", "ada", "urgent", kind=Kind.TRIAL_SKIPPED))
    world.controller().release(release("b"), "pair-ab", PLAN)
    world.controller().follow(60)
    assert one(world, "skip_trial").kind == "exemption"
    assert world.records[-1].what["reason"]["kind"] == "trial_skipped"


def test_a_release_that_is_superseded_is_recorded_before_the_one_that_takes_its_place() -> None:
    world = challenged(seconds=10)
    world.controller().release(release("c"), "pair-ac", PLAN)
    assert told(world)[-2:] == [("verdict", "superseded", "b"), ("release", "preparing", "c")]


def test_a_reason_of_which_no_sentence_can_be_made_stops_no_rollback() -> None:
    world = challenged()
    broken = Reason("endpoint", "v-b", kind=Kind.RELEASE_DOWN)
    with pytest.raises(KeyError):
        _ = broken.text
    back = turn_back(world.state, broken, world.clock.time())
    assert isinstance(back, RolloutState)
    assert back.written().audit.waiting[-1].what["reason"]["kind"] == "release_does_not_come_up"


def test_a_write_that_another_was_before_leaves_no_record() -> None:
    world = challenged()
    before, state = len(world.records), world.state
    journal = MemoryJournal(world)
    journal.write(state.noting(1.0, "cleared", "x"))
    with pytest.raises(Exception, match="revision"):
        journal.write(state.noting(1.0, "cleared", "y"))
    assert [record.what["release"] for record in world.records[before:]] == ["x"]


def test_every_event_kind_has_been_thought_of() -> None:
    """What is not recorded is told here, so that a new kind of event is not forgotten."""
    assert event._WHAT.keys() - audited._KINDS.keys() == {"replayed", "weights", "pivots", "untold"}
