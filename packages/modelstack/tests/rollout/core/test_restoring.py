"""A release that served before is wanted again, and that is lifted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.restored import Restored
from modelstack.rollout.core.restoring import restore
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason
from tests.rollout.worlds import PLAN, challenged, release, served

ADA = Reason("person", "ada", "it sold more", kind=Kind.RESTORED)


def wanted(name: str, **changes: Any) -> Restored:
    of = release(name)
    facts = {key: getattr(of, key) for key in Restored.__dataclass_fields__ if hasattr(of, key)}
    return Restored(**{**facts, "release": of.id, "reason": ADA, "at": 5.0, "served": 1.0, **changes})


def test_what_is_wanted_is_kept_and_recorded_and_moves_nothing() -> None:
    world = challenged(seconds=900)
    before = world.state
    world.controller().restore(wanted("a"))
    after = world.state
    assert after.restored == wanted("a")
    assert (after.champion, after.phase, after.rollout_id) == (before.champion, before.phase, before.rollout_id)
    record = world.records[-1]
    assert (record.kind, record.what["event"], record.what["release"]) == ("restore", "restore", "a")
    assert (record.what["champion"], record.what["reason"]["said"], record.who) == ("b", "it sold more", "test")
    assert record.what["package"] == "sha256:a"
    assert RolloutState.from_json(after.to_json()) == after


def test_the_rollout_of_a_restored_release_is_one_like_any_other_and_leaves_it_wanted() -> None:
    world = challenged(seconds=900)
    world.controller().restore(wanted("a"))
    world.controller().release(release("a"), "pair-ba", PLAN, beside="solo-b")
    world.controller().follow(900)
    assert world.state.champion == release("a")
    assert world.state.restored == wanted("a"), "the next update does not bring b back"


def test_an_update_that_began_before_a_release_was_restored_begins_no_other_one() -> None:
    world = challenged(seconds=900)
    world.controller().restore(wanted("a"))
    before = world.state
    with pytest.raises(
        RolloutError, match="release c does not begin on endpoint: a person has restored release a in its place"
    ):
        world.controller().release(release("c"), "pair-bc", PLAN, beside="solo-b")
    assert world.state == before


def test_during_a_trial_and_before_the_first_release_nothing_is_restored() -> None:
    with pytest.raises(RolloutError, match=r"while endpoint is baking: release b is on it. Wait for the verdict"):
        challenged().controller().restore(wanted("a"))
    with pytest.raises(RolloutError, match="while endpoint is none"):
        restore(RolloutState("endpoint"), wanted("a"), 1.0)


def test_what_serves_is_not_restored_unless_it_served_with_something_else() -> None:
    world = served()
    with pytest.raises(RolloutError, match="release a serves endpoint now"):
        world.controller().restore(wanted("a"))
    assert world.state.restored is None
    world.controller().restore(wanted("a", serving={"instance_count": 2}))
    assert world.state.restored is not None


def test_what_serves_may_be_wanted_when_another_release_is_restored_and_is_then_what_stays() -> None:
    world = challenged(seconds=900)
    world.controller().restore(wanted("a"))
    world.controller().restore(wanted("b"))
    assert world.state.restored == wanted("b"), "the next update does not release a"
    with pytest.raises(RolloutError, match="release b serves endpoint now"):
        world.controller().restore(wanted("b"))


def test_a_rejected_release_stays_rejected_unless_the_person_says_so() -> None:
    world = challenged(seconds=900)
    world.controller().roll_back(Reason("person", "ada", "odd", kind=Kind.TAKEN_BACK))
    world.controller().follow(60)
    with pytest.raises(RolloutError, match=r"stays rejected: asked for by ada: odd.*--although-rejected"):
        world.controller().restore(wanted("b"))
    assert "b" in world.state.rejected
    world.controller().restore(wanted("b"), although_rejected=True)
    assert "b" not in world.state.rejected
    assert [record.what["event"] for record in world.records[-2:]] == ["cleared", "restore"]
    assert world.records[-1].what["package"] == "sha256:b"


def test_lifting_lets_the_config_count_again_and_is_recorded() -> None:
    world = challenged(seconds=900)
    with pytest.raises(RolloutError, match="no release of endpoint is restored"):
        world.controller().lift_restore(ADA)
    world.controller().restore(wanted("a"))
    world.controller().lift_restore(replace(ADA, said="b is mended"))
    assert world.state.restored is None
    record = world.records[-1]
    assert (record.kind, record.what["event"]) == ("restore", "restore_lifted")
    assert record.what["reason"]["said"] == "b is mended"


def test_a_release_that_the_journal_names_nowhere_else_is_recorded_with_its_digests() -> None:
    world = challenged(seconds=900)
    world.controller().restore(wanted("c", serving={"instance_count": 2}))
    world.controller().lift_restore(ADA)
    for record in world.records[-2:]:
        assert (record.what["package"], record.what["recipe"]) == ("sha256:c", "c-recipe")
        assert record.what["serving"] == {"instance_count": 2}
