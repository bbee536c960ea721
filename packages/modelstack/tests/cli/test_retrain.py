"""What a person sees of a retraining, and what comes of what they ask."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
from click.testing import CliRunner

from modelstack.cli import retrain
from modelstack.cli.commands import deciding
from modelstack.cli.errors import OperatorError
from modelstack.cli.main import main
from modelstack.cli.platform.aws import platform as aws
from modelstack.cli.retrain import Retraining, ask, fate, line, told, waits
from modelstack.cli.target import Target
from modelstack.monitoring.retraining.record import (
    Candidate,
    Held,
    Obstacle,
    Phase,
    RetrainingEvent,
    RetrainingRecord,
    Trigger,
)
from modelstack.rollout.controller.commands import Commands
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.reason import Reason
from tests.cli.played import printed
from tests.rollout.worlds import release as make_release
from tests.rollout.worlds import wish

TARGET = Target("dev", "flight-delay-dev", "us-east-1", {"journal_table": "t"})
COMMANDS = Commands.of_stack("dev")
CANDIDATE = Candidate("2013-06-16", "b" * 64, "b" * 12, {}, "drift")
DRIFT = Trigger("drift", "flight-delay-dev-v-drift fires: 1.2")
TRAINING = RetrainingRecord(
    phase=Phase.TRAINING, trigger=DRIFT, job="flight-delay-dev-20130616-3", through="2013-06-16"
)


def shown(seen: Retraining) -> str:
    return printed(told(seen, COMMANDS))


REJECTED = Verdict("rolled_back", Reason("alarm", "v-b-5xx", "5xx fires"), "1", "b" * 12, "r", "p", 0.0)


@pytest.mark.parametrize(
    ("state", "newest", "said"),
    [
        ({"champion": make_release("a"), "challenger": make_release("b" * 12)}, CANDIDATE, "bbbbbbbbbbbb is on trial"),
        ({"champion": make_release("b" * 12)}, CANDIDATE, "bbbbbbbbbbbb serves"),
        ({"rejected": {"b" * 12: REJECTED}}, CANDIDATE, "bbbbbbbbbbbb was rejected: 5xx fires"),
        ({"champion": make_release("c")}, replace(CANDIDATE, served=True), "bbbbbbbbbbbb has served before"),
        (
            {"champion": make_release("c")},
            replace(CANDIDATE, champion="a"),
            "bbbbbbbbbbbb does not count any more: it was held against a, which serves no more",
        ),
        ({}, None, ""),
    ],
)
def test_what_became_of_the_newest_candidate_is_told(
    state: dict[str, Any], newest: Candidate | None, said: str
) -> None:
    record = RetrainingRecord(accepted=(newest,) if newest else ())
    assert fate(record, RolloutState("flight-delay-dev", **state)) == said
    if said:
        seen = Retraining(record, None, None, fate=said)
        assert said in shown(seen)
        assert waits(seen, COMMANDS) == f"no candidate waits: {said}"


def test_while_a_release_is_restored_no_candidate_waits_and_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    state = RolloutState(TARGET.endpoint, champion=make_release("a"), restored=wish())
    book = type("Book", (), {"read": lambda _: RetrainingRecord(accepted=(replace(CANDIDATE, champion="a"),))})()
    monkeypatch.setattr(retrain, "journal_state", lambda _: state)
    monkeypatch.setattr(aws, "DynamoBook", lambda *_: book)
    monkeypatch.setattr(aws.Aws, "_retrains", lambda _: True)
    monkeypatch.setattr(Target, "client", lambda *_: None)
    seen = retrain.look(TARGET)
    assert (seen.waits, seen.counts) == (None, None)
    assert "bbbbbbbbbbbb, trained on data to 2013-06-16, is not released while release 3f0c is restored" in waits(
        seen, COMMANDS
    )
    monkeypatch.setattr(retrain, "journal_state", lambda _: replace(state, restored=None))
    assert retrain.look(TARGET).waits is not None


def test_an_interrupted_request_says_that_it_may_be_done_all_the_same() -> None:
    with pytest.raises(OperatorError, match=r"the function may do it all the same \(start\)") as refused:
        ask(target(Lambda(KeyboardInterrupt())), "start", "why")
    assert (refused.value.exit_code, refused.value.hint) == (130, "Type: modelstack --stack dev retrain")


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (Retraining(RetrainingRecord(), None, None), ""),
        (
            Retraining(RetrainingRecord(held=Held(DRIFT, Obstacle("on_trial", "b"))), None, None),
            "not begun, as b is on trial",
        ),
        (Retraining(TRAINING, None, None), "flight-delay-dev-20130616-3 trains on data to 2013-06-16: "),
        (
            Retraining(replace(TRAINING, stopping="anna: bad labels"), None, None),
            "flight-delay-dev-20130616-3 is being stopped: anna: bad labels",
        ),
        (
            Retraining(RetrainingRecord(phase=Phase.ASKING, trigger=DRIFT), None, None),
            'fires: 1.2; type: modelstack --stack dev retrain approve --reason "..."',
        ),
        (
            Retraining(RetrainingRecord(accepted=(CANDIDATE,)), CANDIDATE, CANDIDATE),
            "candidate bbbbbbbbbbbb waits, trained on data to 2013-06-16; type: pulumi up --stack dev",
        ),
        (Retraining(RetrainingRecord(accepted=(CANDIDATE,)), CANDIDATE, None), ""),
    ],
)
def test_status_says_in_a_line_what_goes_on_or_waits_and_nothing_else(seen: Retraining, said: str) -> None:
    found = line(seen, COMMANDS)
    assert said in found
    assert bool(found) == bool(said)


def test_the_page_tells_what_counts_what_waits_and_what_happened() -> None:
    entry = RetrainingEvent(
        1e9, "2013-06-16", "candidate", "log-loss 0.60 -> 0.55", release="b" * 12, through="2013-06-16"
    )
    page = shown(Retraining(RetrainingRecord(accepted=(CANDIDATE,), history=(entry,)), CANDIDATE, CANDIDATE))
    for part in ("idle", "data to 2013-06-16, by bbbbbbbbbbbb", "type: pulumi up --stack dev", "0.60 -> 0.55"):
        assert part in page
    assert "that of the config" in shown(Retraining(RetrainingRecord(), None, None))


def test_that_it_is_switched_off_is_said_and_what_was_under_way_then() -> None:
    assert "off: nothing new is trained" in shown(Retraining(RetrainingRecord(), None, None, on=False))
    assert line(Retraining(RetrainingRecord(), None, None, on=False), COMMANDS) == ""
    assert "flight-delay-dev-20130616-3 was training" in line(Retraining(TRAINING, None, None, on=False), COMMANDS)


class Lambda:
    def __init__(self, answer: dict[str, Any] | BaseException, error: str = "") -> None:
        self.answer, self.error, self.asked = answer, error, []

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:
        if isinstance(self.answer, BaseException):
            raise self.answer
        self.asked.append((FunctionName, json.loads(Payload)))
        failed = {"FunctionError": self.error} if self.error else {}
        return {"Payload": io.BytesIO(json.dumps(self.answer).encode()), **failed}


@pytest.fixture(autouse=True)
def nobody_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "caller_if_told", lambda _: "")


def target(function: Lambda) -> Target:
    meant = replace(TARGET)
    meant._made["lambda"] = function
    return meant


@pytest.mark.parametrize(("told", "who"), [("arn:aws:iam::000000000000:user/anna", None), ("", "unknown")])
def test_a_wish_reaches_the_function_with_who_wished_it(
    monkeypatch: pytest.MonkeyPatch, told: str, who: str | None
) -> None:
    monkeypatch.setattr(aws, "caller_if_told", lambda _: told)
    function = Lambda({"phase": "training", "held": "", "latest": "training x on data to 2013-06-16: anna: now"})
    assert ask(target(function), "start", "now") == "training x on data to 2013-06-16: anna: now"
    assert function.asked == [("flight-delay-dev-retrain", {"do": "start", "reason": f"{who or told}: now"})]


def missing() -> Exception:
    error = {"Error": {"Code": "ResourceNotFoundException", "Message": "Function not found"}}
    return botocore.exceptions.ClientError(error, "Invoke")


@pytest.mark.parametrize(
    ("function", "said", "hint"),
    [
        (Lambda({"refused": "nothing waits for a person"}), "nothing was done: nothing waits for a person", ""),
        (Lambda({"errorMessage": "no table"}, "Unhandled"), "the retrain function failed: no table", ""),
        (
            *(Lambda(missing()), "flight-delay-dev has no retrain function"),
            "pulumi config set --path modelstack:retraining.enabled true --stack dev",
        ),
    ],
)
def test_what_is_not_done_is_an_error_that_says_why(function: Lambda, said: str, hint: str) -> None:
    with pytest.raises(OperatorError) as caught:
        ask(target(function), "approve", "yes")
    assert str(caught.value) == said
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(("seen", "code"), [(CANDIDATE, 0), (None, 1)])
def test_a_pipeline_learns_from_the_exit_code_whether_to_update(
    seen: Candidate | None, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(deciding, "find", lambda _: TARGET)
    monkeypatch.setattr(deciding.retraining, "look", lambda _: Retraining(RetrainingRecord(), seen, seen))
    assert CliRunner().invoke(main, ["retrain", "waiting"]).exit_code == code
    answer = CliRunner().invoke(main, ["retrain", "--json"])
    assert (json.loads(answer.stdout)["waits"] is None) is (seen is None)


def test_a_change_without_a_reason_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "find", lambda _: TARGET)
    answer = CliRunner().invoke(main, ["retrain", "start"])
    assert (answer.exit_code, "retrain start needs a reason" in answer.stderr) == (2, True)
