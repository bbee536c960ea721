"""Writers that meet at the journal: each decides on what is there, and nobody's decision is lost or made twice."""

from __future__ import annotations

import pytest

from modelstack.rollout.controller.agreement import change
from modelstack.rollout.core import endings
from modelstack.rollout.core.endings import Ignored
from modelstack.rollout.core.errors import Conflict
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.reason import Reason
from tests.rollout.worlds import PLAN, release, served
from tests.simulator.platform import MemoryJournal


def noted(state: RolloutState, release: str) -> RolloutState:
    return state.noting(0.0, "cleared", release)


def test_one_whose_state_was_overtaken_decides_anew_and_both_changes_stand() -> None:
    world, seen = served(), list[int]()

    def decide(state: RolloutState) -> RolloutState:
        seen.append(state.revision)
        if len(seen) == 1:
            MemoryJournal(world).write(noted(world.state, "another was first"))
        return noted(state, "mine")

    written = change(MemoryJournal(world), decide)
    assert [event.release for event in written.history[-2:]] == ["another was first", "mine"]
    assert (world.state, seen) == (written, [written.revision - 2, written.revision - 1])


def test_nothing_is_written_when_nothing_changes_or_an_answer_says_why_not() -> None:
    world = served()
    before = world.state.revision
    assert change(MemoryJournal(world), lambda state: state).revision == before
    assert change(MemoryJournal(world), lambda _: Ignored("it is late")) == Ignored("it is late")
    assert world.state.revision == before


def test_a_journal_that_keeps_changing_is_given_up() -> None:
    world = served()

    def decide(state: RolloutState) -> RolloutState:
        MemoryJournal(world).write(noted(world.state, "another was first"))
        return noted(state, "mine")

    with pytest.raises(Conflict, match="the journal of endpoint keeps changing"):
        change(MemoryJournal(world), decide)
    assert "mine" not in {event.release for event in world.state.history}


def test_a_release_that_meets_a_rollback_between_its_looks_waits_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    world = served()
    world.controller().release(release("b"), "pair-ab", PLAN)
    world.controller().follow(40)
    assert world.state.phase is Phase.BAKING
    read, reads = MemoryJournal.read, list[Phase]()

    def meeting(journal: MemoryJournal) -> RolloutState:
        state = read(journal)
        reads.append(state.phase)
        if len(reads) == 1:  # an alarm decides after the first look
            firing = endings.turn_back(state, Reason("alarm", "v-b-5xx", "fires"), world.clock.time(), variant="v-b")
            assert isinstance(firing, RolloutState)
            world.state = firing.written()
        return state

    monkeypatch.setattr(MemoryJournal, "read", meeting)
    world.controller().release(release("c"), "pair-ac", PLAN)
    kinds = [event.kind for event in world.state.history if event.kind in {"rolled_back", "superseded", "preparing"}]
    assert kinds[-2:] == ["rolled_back", "preparing"], "the rollback ended before the release began"
    assert (world.state.challenger, set(world.state.rejected)) == (release("c"), {"b"})
    assert (world.state.step, world.state.step_starts) == (-1, ()), "the judge starts again"
