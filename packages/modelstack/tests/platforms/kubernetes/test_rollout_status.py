from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelstack.platforms.kubernetes.journal import KubernetesJournal
from modelstack.platforms.kubernetes.kinds import ROLLOUT
from modelstack.platforms.kubernetes.rollout_status import rollout_status
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.core.transitions import begin, to_step
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.reason import Reason
from tests.platforms.kubernetes.world import ENDPOINT, World, on_both
from tests.rollout.worlds import PLAN, release

NOW = 1_780_000_000.0
IDLE = replace(RolloutState(ENDPOINT), phase=Phase.IDLE, champion=release("a"), revision=3)
TRIAL = to_step(begin(IDLE, release("b"), "pair-ab", PLAN, NOW), 0, Reason("endpoint", "endpoint", "the pair is ready"))
BAD = Verdict("rolled_back", Reason("judge", "errors", "errors worse"), "4-b", "b", "b-recipe", "sha256:b", NOW)


def conditions(state: RolloutState, **rollout: Any) -> dict[str, tuple[str, str]]:
    status = rollout_status(state, {"metadata": {"generation": 2}, **rollout}, NOW)
    return {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}


@pytest.mark.parametrize(
    ("state", "ready", "progressing", "degraded"),
    [
        (RolloutState(ENDPOINT), "False", "False", "False"),
        (IDLE, "True", "False", "False"),
        (TRIAL, "True", "True", "False"),
        (replace(TRIAL, phase=Phase.PAUSED), "True", "False", "False"),
        (replace(IDLE, verdict=BAD), "True", "False", "True"),
        (replace(TRIAL, verdict=BAD), "True", "True", "False"),
    ],
)
def test_the_conditions_say_what_serves_what_moves_and_what_failed(
    state: RolloutState, ready: str, progressing: str, degraded: str
) -> None:
    found = {name: status for name, (status, _) in conditions(state).items()}
    assert found == {"Ready": ready, "Progressing": progressing, "Degraded": degraded}


def test_a_trial_shows_its_step_its_weights_and_its_versions() -> None:
    status = rollout_status(TRIAL, {"metadata": {"generation": 2}}, NOW)
    names = ("step", "steps", "weight", "weights", "championVersion", "challengerVersion")
    assert [status[name] for name in names] == [1, 2, 10, {"v-a": 90, "v-b": 10}, "arn:a", "arn:b"]
    assert rollout_status(replace(IDLE, verdict=BAD), {"metadata": {}}, NOW)["reason"] == "errors worse"


def test_a_condition_keeps_its_time_until_it_changes() -> None:
    first = rollout_status(IDLE, {"metadata": {"generation": 2}}, NOW)
    later = rollout_status(TRIAL, {"metadata": {"generation": 3}, "status": first}, NOW + 60)
    times = {one["type"]: one["lastTransitionTime"][-9:] for one in later["conditions"]}
    assert times == {"Ready": "20:26:40Z", "Progressing": "20:27:40Z", "Degraded": "20:26:40Z"}
    assert {one["observedGeneration"] for one in later["conditions"]} == {3}


@on_both
def test_the_api_server_takes_the_status_of_a_trial_and_drops_nothing(world: World) -> None:
    journal = KubernetesJournal(world.api, ENDPOINT)
    journal.put(TRIAL)
    rollout = world.api.get(ROLLOUT, ENDPOINT)
    assert rollout["status"] == rollout_status(TRIAL, rollout, 0.0)
