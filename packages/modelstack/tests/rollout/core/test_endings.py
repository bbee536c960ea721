"""Where a rollout leaves the releases that it was about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelstack.rollout.core.endings import Ignored, concluded, turn_back
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.reason import Reason
from tests.rollout.worlds import release

PERSON = Reason("person", "anna", "customers complain")
ALARM = Reason("alarm", "5xx", "52% of 40 requests failed")


def ended(challenger: Release, outcome: str) -> RolloutState:
    """Release b serves, a did before it; a trial of a challenger ends so."""
    verdict = Verdict(outcome, PERSON, "000003-x", challenger.id, challenger.recipe, challenger.package_digest, 10.0)
    state = RolloutState("endpoint", phase=Phase.ROLLING_BACK, champion=release("b"), challenger=challenger)
    return concluded(replace(state, previous=release("a"), promoted_at=5.0, decided=verdict), 20.0)


def test_a_former_champion_that_was_tried_again_and_rolled_back_is_no_way_back() -> None:
    state = ended(release("a"), "rolled_back")
    assert state.previous is None
    assert turn_back(state, ALARM, 21.0, variant="v-b") == Ignored("there is no previous champion to bring back")
    with pytest.raises(RolloutError, match="no previous champion to bring back"):
        turn_back(state, PERSON, 21.0)


@pytest.mark.parametrize(("name", "outcome"), [("c", "rolled_back"), ("a", "failed")])
def test_otherwise_the_champion_before_stays_the_way_back(name: str, outcome: str) -> None:
    assert ended(release(name), outcome).previous == release("a")
