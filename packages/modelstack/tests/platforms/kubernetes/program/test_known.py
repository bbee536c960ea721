from __future__ import annotations

import pytest

from modelstack.platforms.kubernetes.answers import NotFound
from modelstack.platforms.kubernetes.program.known import Known
from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.state import RolloutState
from modelstack.services.measuring import Measuring
from tests.rollout.worlds import release

SPEC = RolloutSpec("prod", "m", "g", "http://p:9090", measuring=Measuring(probe_minutes=3))


def test_what_serves_and_what_is_measured_is_known_without_asking() -> None:
    known = Known()
    rollout = {"metadata": {"name": "e"}, "spec": SPEC.as_dict()}
    known.learn(rollout)
    assert (known.champion("e"), known.measuring("e").probe_minutes) == (None, 3)
    known.learn({**rollout, "status": {"state": RolloutState("e", champion=release("a")).to_json()}})
    assert known.champion("e") == release("a")
    known.forget("e")
    with pytest.raises(NotFound):
        known.champion("e")


def test_a_spec_that_is_wrong_is_told_to_who_asks_for_it_and_a_journal_that_is_unreadable_names_nobody() -> None:
    known = Known()
    known.learn({"metadata": {"name": "e"}, "spec": {"stack": "prod"}, "status": {"state": "{"}})
    with pytest.raises(RolloutError, match="missing model"):
        known.spec("e")
    assert known.champion("e") is None
