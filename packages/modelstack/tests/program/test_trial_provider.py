"""The rollout's provider: acts when asked, tells the truth at the end, and needs no engine for it."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.runtime import rpc

import modelstack.platforms.aws.approvals
import modelstack.platforms.aws.endpoint
import modelstack.platforms.aws.packages
import modelstack.services.journal
from modelstack.program.config.rollout_settings import RolloutSettings
from modelstack.program.config.strategy_settings import Steps, StepSettings
from modelstack.program.providers import driving as provider
from modelstack.program.providers.driving import RENAMED, commands_of
from modelstack.program.providers.trial import RolloutProvider
from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.controller.notice import waiting
from modelstack.rollout.core.errors import Unreachable
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Replayed
from modelstack.rollout.reason import Reason
from modelstack.services.guardrails import guardrail
from modelstack.services.sealed_packages import DigestMismatch
from tests.rollout.worlds import release as make_release
from tests.simulator.platform import World

AUC = {"a": 0.7, "b": 0.8}
SEEN = {"champion": "", "challenger": "", "revision": 0}


def inputs(name: str = "a", **changes: Any) -> dict[str, Any]:
    steps = [StepSettings(weight=10, bake_seconds=30), StepSettings(weight=50, bake_seconds=30)]
    plan = RolloutSettings(strategy=Steps(steps=steps)).plan(10).as_dict()
    return {
        "endpoint": "endpoint",
        "table": "rollouts",
        "region": "us-east-1",
        "topic": "arn:topic",
        "desired_release": make_release(name).as_dict(),
        "plan": {key: float(value) if isinstance(value, int) else value for key, value in plan.items()},
        "wait": True,
        "start_trial": True,
        "live_state": SEEN,
        "urn": "urn:pulumi:local::modelstack::Rollout::rollout",
        **changes,
    }


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(provider.Progress, "note", lambda self, text: told.append(text))
    monkeypatch.setattr(provider.Progress, "__call__", lambda self, text: None)
    return told


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> World:
    configs = {"solo-a": {"v-a": 1.0}, "solo-b": {"v-b": 1.0}, "pair-ab": {"v-a": 1.0, "v-b": 0.0}}
    made = World(configs=configs, serving="solo-a", requests_per_second=60)
    monkeypatch.setattr(modelstack.platforms.aws.endpoint, "controller", lambda *args, **options: made.controller())
    monkeypatch.setattr(modelstack.platforms.aws.approvals.BucketApprovals, "given", lambda *_: [])

    def measured(_: Any, of: Release, name: str) -> bytes:
        assert name == "metrics.json"
        return json.dumps({"summary": {"auc": AUC[of.id]}}).encode()

    monkeypatch.setattr(modelstack.platforms.aws.packages, "member", measured)
    return made


@pytest.fixture
def released(world: World) -> World:
    RolloutProvider().create(inputs())
    return world


def test_first_release_is_champion_at_once(world: World, lines: list[str]) -> None:
    outs = RolloutProvider().create(inputs()).outs or {}
    assert (outs["champion"], outs["challenger"], outs["outcome"]) == ("sha256:a", "", "promoted")
    assert outs["release"] == make_release("a").as_dict()
    assert outs["metrics"] == {"auc": 0.7}
    assert lines


def test_good_release_ends_as_champion_and_every_step_is_told(released: World, lines: list[str]) -> None:
    outs = (
        RolloutProvider().update("endpoint", {}, inputs("b", trial_config="pair-ab", baseline_config="solo-a")).outs
        or {}
    )
    assert (outs["champion"], outs["outcome"], outs["metrics"]) == ("sha256:b", "promoted", {"auc": 0.8})
    assert any("10%" in line for line in lines)
    assert any("50%" in line for line in lines)


def test_faulty_release_is_an_outcome_with_its_numbers_and_the_champion_stays(
    released: World, lines: list[str]
) -> None:
    released.error_rates["v-b"] = 0.5
    outs = RolloutProvider().update("endpoint", {}, inputs("b", trial_config="pair-ab")).outs or {}
    assert (outs["champion"], outs["challenger"], outs["outcome"]) == ("sha256:a", "", "rolled_back")
    assert outs["metrics"] == {"auc": 0.7}, "the champion's, not those of the release that was rolled back"
    assert "%" in outs["why"]
    assert sum(outs["why"] in line for line in lines) == 1, "told with the decision, and not again with its end"
    assert released.serving == "solo-a"


def test_update_that_does_not_wait_ends_with_the_trial_under_way(released: World) -> None:
    outs = RolloutProvider().update("endpoint", {}, inputs("b", trial_config="pair-ab", wait=False)).outs or {}
    assert (outs["champion"], outs["challenger"], outs["outcome"]) == ("sha256:a", "sha256:b", "running")


def test_update_whose_trial_waits_for_an_approval_ends_and_says_what_to_type(released: World) -> None:
    asked = inputs("b", trial_config="pair-ab")
    asked["plan"]["steps"] = [
        {"weight": 10.0, "bake_seconds": 30.0, "approve": True},
        {"weight": 50.0, "bake_seconds": 30.0},
    ]
    outs = RolloutProvider().update("endpoint", {}, asked).outs or {}
    assert (outs["champion"], outs["challenger"], outs["outcome"]) == ("sha256:a", "sha256:b", "waiting")
    assert "step 1 of 2 is passed" in outs["why"]
    assert "modelstack approve" in outs["why"]

    released.controller().approve(Reason("person", "ada", "looks well"))
    outs = RolloutProvider().update("endpoint", {}, asked).outs or {}
    assert (outs["champion"], outs["outcome"]) == ("sha256:b", "promoted")


def test_challenger_gets_copies_and_captured_requests_first_and_each_is_told(released: World, lines: list[str]) -> None:
    released.configs["shadow-ab"] = {"v-a": 1.0}
    released.shadows["shadow-ab"] = ("v-b", 50)
    released.replays["v-b"] = Replayed(40, 0, 3, 1.1)
    then = {"kind": "canary", "weight": 10, "bake_seconds": 30}
    section = {"strategy": {"kind": "shadow", "percent": 50, "bake_seconds": 30, "then": then}}
    given = RolloutSettings.model_validate(section).plan(10).as_dict()
    asked = inputs("b", trial_config="pair-ab", shadow_config="shadow-ab", plan=given)
    outs = RolloutProvider().update("endpoint", {}, asked).outs or {}
    assert (outs["champion"], outs["outcome"]) == ("sha256:b", "promoted")
    told = "\n".join(lines)
    assert told.index("gets copies of 50%") < told.index("40 captured requests replayed") < told.index("b is champion")


def test_replay_that_fails_is_an_outcome_with_an_example(released: World) -> None:
    released.replays["v-b"] = Replayed(40, 10, 0, 1.0, ("predictions[0].late is missing",))
    asked = inputs("b", trial_config="pair-ab")
    outs = RolloutProvider().update("endpoint", {}, asked).outs or {}
    assert (outs["champion"], outs["outcome"]) == ("sha256:a", "rolled_back")
    assert "25.0% of 40 replayed requests" in outs["why"]
    assert "predictions[0].late is missing" in outs["why"]


def test_other_instances_are_followed_as_long_as_the_guard_may_take(released: World) -> None:
    moved = replace(make_release("a"), config_name="solo-a2")
    released.configs["solo-a2"] = {"v-a": 1.0}
    released.change_seconds = provider.OPENING_SECONDS + 400
    released.requests_per_second = 0.0
    given = RolloutSettings().plan(10, guardrail("linear", 10, 300, ["alarm"])).as_dict()
    outs = RolloutProvider().update("endpoint", {}, inputs(desired_release=moved.as_dict(), plan=given)).outs or {}
    assert outs["outcome"] == "promoted"
    assert released.guards[-1] is not None
    assert released.guards[-1].kind == "linear"
    assert released.guards[-1].alarms == ("alarm",)


@pytest.mark.parametrize("promoted", [False, True])
def test_champion_moves_to_other_instances_while_the_release_beside_or_after_it_stays_rejected(
    released: World, promoted: bool
) -> None:
    released.error_rates["v-b"] = 0.0 if promoted else 0.5
    RolloutProvider().update("endpoint", {}, inputs("b", trial_config="pair-ab", baseline_config="solo-a"))
    if promoted:
        released.controller().roll_back(Reason("person", "ada", "looks odd"))
        released.controller().follow(600)
    assert (released.state.champion, set(released.state.rejected)) == (make_release("a"), {"b"})
    released.configs["solo-a2"] = {"v-a": 1.0}
    moved = replace(make_release("a"), config_name="solo-a2")
    given = RolloutSettings().plan(10, guardrail("canary", 50, 30, ["alarm"])).as_dict()
    outs = RolloutProvider().update("endpoint", {}, inputs(desired_release=moved.as_dict(), plan=given)).outs or {}
    assert (outs["outcome"], outs["champion"], released.serving) == ("promoted", "sha256:a", "solo-a2")
    assert released.guards[-1] is not None
    assert (released.state.champion, set(released.state.rejected)) == (moved, {"b"})
    assert released.approvals["arn:b"] == "Rejected"


def test_newer_release_in_mid_trial_supersedes_and_is_judged_from_the_start(released: World) -> None:
    released.configs |= {"solo-c": {"v-c": 1.0}, "pair-ac": {"v-a": 1.0, "v-c": 0.0}}
    older = inputs("b", trial_config="pair-ab", wait=False)
    RolloutProvider().update("endpoint", {}, older)
    released.error_rates["v-b"] = 0.5  # nobody is to be blamed for it any more
    newer = inputs("c", trial_config="pair-ac", baseline_config="solo-a", wait=False)
    outs = RolloutProvider().update("endpoint", {}, newer).outs or {}
    assert (outs["champion"], outs["challenger"], outs["outcome"]) == ("sha256:a", "sha256:c", "running")
    assert (released.state.step, released.state.challenger) == (-1, make_release("c"))
    ended = released.state.verdict
    assert ended is not None
    assert (ended.outcome, ended.release) == ("superseded", "b")


def test_what_is_waited_for_is_marked_so_that_it_can_be_told_from_the_rest(
    released: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    passing: list[str] = []
    monkeypatch.setattr(provider.Progress, "__call__", lambda self, text: passing.append(text))
    released.requests_per_second = 0.0
    released.replays["v-b"] = Replayed(40, 0, 0, 1.0)
    asked = inputs("b", trial_config="pair-ab")
    asked["plan"]["max_seconds"] = 600.0
    RolloutProvider().update("endpoint", {}, asked)
    assert any(text.startswith(waiting("requests")) for text in passing)
    assert any(text.startswith("baked") for text in passing)


@pytest.mark.slow
def test_a_replay_gate_that_waits_for_captured_requests_is_told_as_a_wait_for_requests(
    released: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    passing: list[str] = []
    monkeypatch.setattr(provider.Progress, "__call__", lambda self, text: passing.append(text))
    released.requests_per_second = 0.0
    released.replays["v-b"] = Replayed(3, 0, 0, 1.0)
    outs = RolloutProvider().update("endpoint", {}, inputs("b", trial_config="pair-ab")).outs or {}
    told = "the replay gate could not be checked: only 3 captured requests were there to replay"
    assert any(text.startswith(waiting("requests")) and told in text for text in passing)
    assert (outs["outcome"], outs["champion"]) == ("rolled_back", "sha256:a")
    assert told in outs["why"]


def test_what_cannot_be_done_is_an_outcome_and_not_a_traceback(released: World) -> None:
    outs = (
        RolloutProvider().update("endpoint", {}, inputs("b", trial_config="pair-ab", baseline_config="solo-z")).outs
        or {}
    )
    assert outs["outcome"] == "failed"
    assert "solo-z" in outs["why"]
    assert outs["champion"] == "sha256:a"


def test_metrics_that_cannot_be_proven_fail_no_update(released: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(*_: Any) -> bytes:
        raise DigestMismatch("other bytes")

    monkeypatch.setattr(modelstack.platforms.aws.packages, "member", changed)
    outs = RolloutProvider().update("endpoint", {}, inputs("b", trial_config="pair-ab")).outs or {}
    assert (outs["champion"], outs["metrics"]) == ("sha256:b", {})


def _unreachable(*_: object) -> None:
    raise Unreachable("no connection")


def test_journal_that_does_not_answer_a_refresh_is_told_without_what_led_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modelstack.services.journal.CopiedJournal, "read", _unreachable)
    with pytest.raises(RuntimeError, match="what is live on endpoint is not known: no connection") as caught:
        RolloutProvider().read("endpoint", inputs())
    _alone(caught.value)


@pytest.mark.parametrize("acts", [True, False])
@pytest.mark.parametrize(("silent", "call"), [(RolloutProvider, "controller"), (Controller, "status")])
def test_journal_that_does_not_answer_an_update_is_told_without_what_led_to_it(
    released: World, monkeypatch: pytest.MonkeyPatch, acts: bool, silent: type, call: str
) -> None:
    monkeypatch.setattr(silent, call, _unreachable)
    asked = inputs("b", trial_config="pair-ab", start_trial=acts)
    for act in (RolloutProvider().create, lambda props: RolloutProvider().update("endpoint", {}, props)):
        with pytest.raises(RuntimeError, match=r"endpoint is not known: no connection\. Run the") as caught:
            act(asked)
        _alone(caught.value)


def _alone(error: BaseException) -> None:
    """Pulumi prints an exception with all its causes."""
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_update_that_does_not_act_moves_nothing(released: World) -> None:
    before = released.state
    outs = RolloutProvider().update("endpoint", {}, inputs("b", trial_config="pair-ab", start_trial=False)).outs or {}
    assert outs["champion"] == "sha256:a"
    assert released.state == before


def test_trial_that_ran_out_of_time_and_is_held_says_so_and_what_to_type(released: World) -> None:
    released.requests_per_second = 0
    released.replays["v-b"] = Replayed(40, 0, 0, 1.0)
    asked = inputs("b", trial_config="pair-ab")
    asked["plan"] |= {"on_timeout": "hold", "max_seconds": 600.0}
    outs = RolloutProvider().update("endpoint", {}, asked).outs or {}
    assert (outs["champion"], outs["challenger"], outs["outcome"]) == ("sha256:a", "sha256:b", "held")
    assert outs["why"].startswith("no verdict within 600 s: not yet known: errors")
    assert "type modelstack approve" in outs["why"]
    assert "or modelstack rollback" in outs["why"]


@pytest.mark.parametrize("outcome", ["running", "waiting"])
def test_refresh_in_mid_trial_finds_what_the_update_left(
    released: World, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    asked = inputs("b", trial_config="pair-ab", wait=outcome == "waiting")
    asked["plan"]["steps"] = [{"weight": 10.0, "bake_seconds": 30.0, "approve": True}]
    stored = RolloutProvider().update("endpoint", {}, asked).outs or {}
    assert stored["outcome"] == outcome
    monkeypatch.setattr(modelstack.services.journal.CopiedJournal, "read", lambda self: released.state)
    read = RolloutProvider().read("endpoint", stored).outs or {}
    assert read == stored
    assert RolloutProvider().diff("endpoint", read, asked).changes is False


SETTLED = {**inputs(), "champion": "sha256:a", "challenger": "", "outcome": "promoted"}
AT_REST = {"champion": "sha256:a", "challenger": "", "revision": 3}


@pytest.mark.parametrize(
    ("olds", "news", "changes"),
    [
        ({}, {"start_trial": False, "live_state": AT_REST}, False),
        ({}, {"start_trial": True, "live_state": AT_REST}, True),
        ({}, {}, False),  # a refresh right after the update that did it
        ({"outcome": "failed"}, {}, True),
        ({}, {"start_trial": False, "live_state": {**AT_REST, "champion": "sha256:b"}}, True),
        ({}, {"start_trial": False, "live_state": {**AT_REST, "challenger": "sha256:b"}}, True),
        ({}, {"desired_release": make_release("b").as_dict()}, True),
        ({}, {"desired_release": rpc.UNKNOWN}, True),
        ({}, {"desired_release": rpc.UNKNOWN, "start_trial": False, "live_state": AT_REST}, False),
        ({"wait": False, "outcome": "running"}, {}, True),
        ({"live_state": AT_REST}, {"desired_release": make_release("b").as_dict(), "live_state": AT_REST}, True),
    ],
)
def test_there_is_something_to_do_only_when_there_is(olds: dict[str, Any], news: dict[str, Any], changes: bool) -> None:
    assert RolloutProvider().diff("endpoint", {**SETTLED, **olds}, inputs(**news)).changes is changes


@pytest.mark.parametrize(
    ("news", "changes"),
    [
        ({}, False),
        ({"start_trial": False, "live_state": {"champion": "sha256:a", "challenger": "", "revision": 3}}, False),
        ({"desired_release": make_release("b").as_dict()}, True),
    ],
)
def test_renamed_inputs_of_an_older_stack_are_no_change(news: dict[str, Any], changes: bool) -> None:
    now = {**SETTLED, "trial_config": "pair-ab", "baseline_config": "solo-a"}
    former = {value: name for name, value in RENAMED.items()}
    older = {former.get(name, name): value for name, value in now.items()}
    assert set(former.values()) == {"acts", "beside", "pair_config", "seen", "target"} < older.keys()
    assert RolloutProvider().diff("endpoint", older, inputs(**news)).changes is changes


def test_another_endpoint_is_another_rollout() -> None:
    assert RolloutProvider().diff("endpoint", SETTLED, inputs(endpoint="other")).replaces == ["endpoint"]


def test_state_names_the_provider_and_holds_no_bytecode_of_it() -> None:
    stored = base64.b64decode(serialize_provider(RolloutProvider()))
    assert b"modelstack.program.providers.trial" in stored
    assert len(stored) < 200


def test_what_to_type_names_the_stack_that_the_update_is_of() -> None:
    commands = commands_of({"urn": "urn:pulumi:prod::modelstack::modelstack:index:Rollout::rollout"})
    assert (commands.modelstack, commands.pulumi_up) == ("modelstack --stack prod", "pulumi up --stack prod")
