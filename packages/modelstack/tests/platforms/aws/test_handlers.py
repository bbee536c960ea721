"""The handlers of alarms and of the schedule with their adapters, and what every handler keeps to."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from modelstack.platforms.aws.audit_records import S3Records
from modelstack.platforms.aws.clients import clients
from modelstack.platforms.aws.handlers import advance, rollback
from modelstack.platforms.aws.handlers.settings import HandlerSettings, measuring, seconds_left
from modelstack.platforms.aws.names import MONITORING
from modelstack.platforms.clock import SystemClock
from modelstack.records.audit.record import Signed
from modelstack.rollout.core import endings
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.plan import Plan, ReplayGate, Step
from modelstack.rollout.core.state import Phase
from modelstack.rollout.reason import Reason
from tests.platforms.aws.stubbed_endpoint import Call, Endpoint, journal, put_alarm

ROOT = Path(__file__).resolve().parents[5]


def alarm(state: str = "ALARM", variant: str = "v-b", at: datetime | None = None) -> dict[str, Any]:
    dimensions = [{"name": "EndpointName", "value": "endpoint"}, {"name": "VariantName", "value": variant}]
    message = {
        "AlarmName": "endpoint-v-b-5xx",
        "NewStateValue": state,
        "StateChangeTime": at.isoformat() if at else None,
        "NewStateReason": "Threshold Crossed: 0.5 > 0.05",
        "Trigger": {"MetricName": "Invocation5XXErrors", "Namespace": "AWS/SageMaker", "Dimensions": dimensions},
    }
    return {"Records": [{"Sns": {"Message": json.dumps(message)}}]}


@pytest.mark.slow
def test_an_alarm_returns_the_traffic_then_rejects_then_moves_the_endpoint(endpoint: Endpoint) -> None:
    answer = rollback.handler(alarm(), None)
    assert [item["action"] for item in answer["answers"]] == ["rolled back"]
    assert endpoint.calls == ["weights", "approval", "config"]
    state = journal().read()
    assert state.verdict is not None
    assert (state.phase, state.verdict.outcome) == (Phase.IDLE, "rolled_back")
    assert state.verdict.reason.name == "endpoint-v-b-5xx"


def count(variant: str, requests: int, failed: int, at: datetime) -> None:
    """Requests of a variant in the minute that begins then."""
    place = [{"Name": "EndpointName", "Value": "endpoint"}, {"Name": "VariantName", "Value": variant}]
    rollback.impatient_clients()("cloudwatch").put_metric_data(
        Namespace="AWS/SageMaker",
        MetricData=[
            {"MetricName": name, "Dimensions": place, "Value": value, "Timestamp": at}
            for name, value in (("Invocations", requests), ("Invocation5XXErrors", failed))
        ],
    )


@pytest.mark.parametrize(
    ("failed", "state", "action"),
    [(95, "OK", "left to the judge"), (95, "ALARM", "left to the judge"), (1, "OK", "rolled back")],
)
def test_an_alarm_asks_cloudwatch_whether_the_champion_fails_too(
    endpoint: Endpoint, failed: int, state: str, action: str
) -> None:
    began = datetime.fromtimestamp(datetime.now(UTC).timestamp() // 60 * 60 - 120, UTC)
    for at, of_challenger, of_champion in ((began, 0, 0), (began + timedelta(minutes=1), 10, failed)):
        count("v-b", 20, of_challenger, at)
        count("v-a", 180, of_champion, at)
    put_alarm("v-b")
    put_alarm("v-a", state=state)
    journal().write(replace(journal().read(), started_at=began.timestamp()))
    (answer,) = rollback.handler(alarm(at=began + timedelta(minutes=2, seconds=3)), None)["answers"]
    assert answer["action"] == action
    if action == "left to the judge":
        assert endpoint.calls == []
        assert f"10 of 20 (50.0%) requests of the challenger v-b, {failed} of 180" in answer["why"]


@pytest.mark.parametrize("operation", ["DescribeAlarms", "GetMetricData", "GetItem"])
@pytest.mark.parametrize("code", ["Throttling", "AccessDenied"])
def test_a_champion_that_cannot_be_looked_at_saves_no_challenger(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, operation: str, code: str
) -> None:
    from botocore.client import BaseClient
    from botocore.exceptions import ClientError

    began = datetime.fromtimestamp(datetime.now(UTC).timestamp() // 60 * 60 - 60, UTC)
    for variant, requests in (("v-b", 20), ("v-a", 180)):
        count(variant, requests, requests, began)
        put_alarm(variant)
    call, hasty = BaseClient._make_api_call, clients("us-east-1", attempts=1)
    monkeypatch.setattr(rollback, "impatient_clients", lambda: hasty)

    def fails(self: Any, name: str, request: dict[str, Any]) -> Any:
        if name == operation and self in (hasty("cloudwatch"), hasty("dynamodb")):
            raise ClientError({"Error": {"Code": code}}, name)
        return call(self, name, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", fails)
    journal().write(replace(journal().read(), started_at=began.timestamp()))
    (answer,) = rollback.handler(alarm(at=began + timedelta(seconds=61)), None)["answers"]
    assert answer["action"] == "rolled back"


def test_an_alarm_that_is_not_for_the_challenger_is_answered_ignored(
    endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    for event in (alarm("OK"), alarm(variant="v-old"), {"Records": [{"Sns": {"Message": "b rolled back"}}]}):
        (answer,) = rollback.handler(event, None)["answers"]
        assert answer["action"] == "ignored"
    assert endpoint.calls == []
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in lines] == ["alarm"] * 3
    assert lines[1]["why"] == "the event is about variant v-old, on trial is v-b"


@pytest.mark.slow
def test_a_rollback_that_cannot_be_made_raises_so_that_it_is_delivered_again(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        from botocore.exceptions import ClientError

        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "Update")

    monkeypatch.setattr(endpoint, "update_endpoint_weights_and_capacities", refuse)

    with pytest.raises(Exception, match="slow down"):
        rollback.handler(alarm(), Call(11_000))
    assert journal().read().phase is Phase.ROLLING_BACK
    monkeypatch.undo()


@pytest.mark.slow
def test_what_answers_an_alarm_may_do_what_the_next_rollout_needs(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It follows the rollback for a while, and the next release may be put on trial just then, behind a replay."""
    described, status = endpoint.describe_endpoint, ["Updating"]
    captures = {"DataCaptureConfig": {"EnableCapture": True, "DestinationS3Uri": "s3://artifacts/capture"}}
    monkeypatch.setattr(
        endpoint,
        "describe_endpoint",
        lambda **asked: described(**asked) | captures | ({"EndpointStatus": status[0]} if endpoint.calls else {}),
    )

    def meanwhile(*_: object) -> None:
        if status == ["Updating"]:
            status[:] = ["InService"]
            assert advance.handler({}, None)["phase"] == "idle", "another controller ends the rollback"
            state = journal().read()
            assert state.champion is not None
            challenger = replace(state.champion, id="c", recipe="c", variant="v-c", config_name="solo-c")
            endpoint.config, endpoint.weights = "pair-c", {"v-a": 1.0, "v-c": 0.0}
            plan = Plan(steps=(Step(10, 300),), max_seconds=86_400, replay=ReplayGate())
            journal().write(
                replace(
                    state, rollout_id="000002-c", phase=Phase.PREPARING, challenger=challenger, pair_config="pair-c",
                    plan=plan, step=-1, weights={}, started_at=datetime.now(UTC).timestamp(),
                )
            )  # fmt: skip
        else:  # it has followed for long enough
            later = datetime.now(UTC).timestamp() + 60
            monkeypatch.setattr(SystemClock, "time", lambda _: later)

    monkeypatch.setattr(SystemClock, "sleep", meanwhile)
    rollback.handler(alarm(), None)
    seen = journal().read()
    assert (seen.rollout_id, seen.replayed is not None) == ("000002-c", True)


def test_a_scheduled_tick_carries_the_rollout_on(endpoint: Endpoint) -> None:
    state = journal().read()
    journal().write(replace(state, phase=Phase.IDLE, challenger=None, pair_config=None))
    assert advance.handler({}, None) == {"phase": "idle", "rollout_id": "000001-b", "weights": {"v-a": 90, "v-b": 10}}
    assert endpoint.config == "solo-a"


def test_a_tick_puts_away_what_happened_in_the_name_of_the_function(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = advance.impatient_clients()("kms").create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")
    monkeypatch.setenv("AUDIT_KEY", key["KeyMetadata"]["Arn"])
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "endpoint-rollback")
    rollback.handler(alarm(), None)
    assert [record.kind for record in journal().read().audit.waiting] == ["decision", "verdict"]
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "endpoint-advance")
    advance.handler({}, None)
    assert journal().read().audit.waiting == ()
    records = [Signed.from_line(line).record for line in S3Records.of(advance.impatient_clients(), "artifacts").lines()]
    assert [(one.number, one.kind, one.who) for one in records] == [
        (1, "decision", "function endpoint-rollback"),
        (2, "verdict", "function endpoint-rollback"),
    ]


def test_a_tick_that_cannot_record_has_carried_the_rollout_on_before_it_fails(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traffic first. The function's alarm counts the error, and opens a ticket if it persists."""
    monkeypatch.setenv("AUDIT_KEY", "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000")
    state = journal().read()
    journal().write(endings.roll_back_trial(state, Reason("person", "ada", "enough"), "rolled_back", 1.0))
    with pytest.raises(RolloutError, match="sign audit record"):
        advance.handler({}, None)
    after = journal().read()
    assert (after.phase, endpoint.config, len(after.audit.waiting)) == (Phase.IDLE, "solo-a", 2)


def test_settings_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDPOINT_NAME", "endpoint")
    monkeypatch.delenv("JOURNAL_TABLE", raising=False)
    with pytest.raises(ValueError, match="environment variable JOURNAL_TABLE: missing"):
        HandlerSettings.from_environment()
    monkeypatch.setenv("JOURNAL_TABLE", "rollouts")
    monkeypatch.setenv(MONITORING, '{"driftMinutes": 0}')
    with pytest.raises(ValueError, match=r"MONITORING: monitoring.driftMinutes: got 0, allowed is 1 to 720"):
        measuring()


def test_a_handler_waits_no_longer_than_it_is_let() -> None:
    call = Call(30_000)
    assert (seconds_left(call, most=60), seconds_left(call, most=5), seconds_left(None, most=9)) == (20, 5, 9)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rollback", "advance", "drift", "labels", "retrain"])
def test_a_handler_imports_nothing_beyond_boto3_but_the_standard_library(name: str) -> None:
    program = f"""
import sys
import boto3, botocore.config, botocore.exceptions
before = set(sys.modules)
import modelstack.platforms.aws.handlers.{name}
rooms = {{"modelstack"}}
other = {{item.partition(".")[0] for item in set(sys.modules) - before}} - rooms - set(sys.stdlib_module_names)
print(sorted(other))
"""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.strip() == "[]"
