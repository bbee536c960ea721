"""The handlers with their adapters, on moto's DynamoDB, S3 and CloudWatch and a stubbed SageMaker endpoint."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import pytest
from moto import mock_aws

from monitoring.aws import DigestMismatch
from monitoring.bulk import sealed
from monitoring.handlers import advance, drift, rollback
from monitoring.reference import Reference
from monitoring.settings import Settings, seconds_left
from rollout import Phase, Plan, Release, RolloutState, Step
from rollout.sagemaker import DynamoJournal, clients

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "artifacts"
REFERENCE = Reference(*sealed({"x": np.random.default_rng(1).uniform(0, 4, 1000)})).as_dict()


class Endpoint:
    """A SageMaker client of one endpoint that takes every change at once."""

    def __init__(self) -> None:
        self.config, self.weights = "pair", {"v-a": 90.0, "v-b": 10.0}
        self.calls: list[str] = []

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        variants = [
            {"VariantName": name, "CurrentWeight": weight, "DesiredWeight": weight, "CurrentInstanceCount": 1}
            for name, weight in self.weights.items()
        ]
        return {"EndpointStatus": "InService", "EndpointConfigName": self.config, "ProductionVariants": variants}

    def update_endpoint_weights_and_capacities(self, **asked: Any) -> None:
        self.calls.append("weights")
        self.weights |= {item["VariantName"]: item["DesiredWeight"] for item in asked["DesiredWeightsAndCapacities"]}

    def update_endpoint(self, **asked: Any) -> None:
        self.calls.append("config")
        self.config = asked["EndpointConfigName"]
        self.weights = {f"v-{self.config[-1]}": 1.0}

    def describe_model_package(self, **_: Any) -> dict[str, str]:
        return {"ModelApprovalStatus": "PendingManualApproval"} if "approval" not in self.calls else {
            "ModelApprovalStatus": "Rejected"
        }  # fmt: skip

    def update_model_package(self, **_: Any) -> None:
        self.calls.append("approval")


def archive(content: dict[str, Any], name: str = "reference.json") -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        body = json.dumps(content).encode()
        entry = tarfile.TarInfo(name)
        entry.size = len(body)
        tar.addfile(entry, io.BytesIO(body))
    return gzip.compress(plain.getvalue(), mtime=0)


def release(name: str, sealed: bytes) -> Release:
    digest = hashlib.sha256(sealed).hexdigest()
    uri = f"s3://{BUCKET}/packages/{digest}/model.tar.gz"
    return Release(
        name, name, f"sha256:{digest}", uri, "image", "x", f"arn:{name}", "model", f"v-{name}", f"solo-{name}"
    )


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """Release b is on trial against a; the handlers' clients are moto's but for SageMaker's."""
    environment = {
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
        "ENDPOINT_NAME": "endpoint", "JOURNAL_TABLE": "rollouts", "ARTIFACT_BUCKET": BUCKET,
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "ALERTS_TOPIC", "DRIFT_FALSE_ALARMS", "DRIFT_MINUTES"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        fake, real = Endpoint(), clients("us-east-1")
        for module in (advance, drift, rollback):
            monkeypatch.setattr(module, "_clients", lambda: lambda name: fake if name == "sagemaker" else real(name))
        monkeypatch.setattr(rollback, "_hasty", lambda: real)
        drift._cache.cache_clear()
        real("dynamodb").create_table(
            TableName="rollouts",
            KeySchema=[{"AttributeName": "endpoint", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "endpoint", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        real("s3").create_bucket(Bucket=BUCKET)
        sealed = archive(REFERENCE)
        a, b = release("a", sealed), release("b", sealed)
        real("s3").put_object(Bucket=BUCKET, Key=a.archive_uri.split("/", 3)[3], Body=sealed)
        plan = Plan(steps=(Step(10, 300),), max_seconds=86_400)
        state = RolloutState(
            "endpoint", rollout_id="000001-b", phase=Phase.BAKING, champion=a, challenger=b, pair_config="pair",
            plan=plan, step=0, weights={"v-a": 90, "v-b": 10}, started_at=datetime.now(UTC).timestamp() - 60,
        )  # fmt: skip
        journal().write(state)
        yield fake


def journal() -> DynamoJournal:
    return DynamoJournal(clients("us-east-1"), "rollouts", "endpoint")


def alarm(state: str = "ALARM", variant: str = "v-b", at: datetime | None = None) -> dict[str, Any]:
    dimensions = [{"name": "EndpointName", "value": "endpoint"}, {"name": "VariantName", "value": variant}]
    message = {
        "AlarmName": "v-b-5xx",
        "NewStateValue": state,
        "StateChangeTime": at.isoformat() if at else None,
        "NewStateReason": "Threshold Crossed: 0.5 > 0.05",
        "Trigger": {"MetricName": "Invocation5XXErrors", "Namespace": "AWS/SageMaker", "Dimensions": dimensions},
    }
    return {"Records": [{"Sns": {"Message": json.dumps(message)}}]}


def test_an_alarm_returns_the_traffic_then_rejects_then_moves_the_endpoint(endpoint: Endpoint) -> None:
    answer = rollback.handler(alarm(), None)
    assert [item["action"] for item in answer["answers"]] == ["rolled back"]
    assert endpoint.calls == ["weights", "approval", "config"]
    state = journal().read()
    assert state.verdict is not None
    assert (state.phase, state.verdict.outcome, state.verdict.reason.name) == (Phase.IDLE, "rolled_back", "v-b-5xx")


def count(variant: str, requests: int, failed: int, at: datetime) -> None:
    """Requests of a variant in the minute that begins then."""
    place = [{"Name": "EndpointName", "Value": "endpoint"}, {"Name": "VariantName", "Value": variant}]
    rollback._hasty()("cloudwatch").put_metric_data(
        Namespace="AWS/SageMaker",
        MetricData=[
            {"MetricName": name, "Dimensions": place, "Value": value, "Timestamp": at}
            for name, value in (("Invocations", requests), ("Invocation5XXErrors", failed))
        ],
    )


def rings(variant: str, state: str) -> None:
    """A variant's alarm on failures is in a state."""
    cloudwatch, dimensions = rollback._hasty()("cloudwatch"), [{"Name": "EndpointName", "Value": "endpoint"}]
    queries: list[Any] = [
        {"Id": key, "ReturnData": False, "MetricStat": {
            "Metric": {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions},
            "Period": 60, "Stat": "Sum",
        }}
        for key, metric in (("part", "Invocation5XXErrors"), ("whole", "Invocations"))
    ]  # fmt: skip
    cloudwatch.put_metric_alarm(
        AlarmName=f"{variant}-5xx", ComparisonOperator="GreaterThanThreshold", EvaluationPeriods=1, Threshold=0.05,
        Metrics=[*queries, {"Id": "rate", "Expression": "part / whole", "ReturnData": True}],
    )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName=f"{variant}-5xx", StateValue=state, StateReason="x")


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
    rings("v-b", "ALARM")
    rings("v-a", state)
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
        rings(variant, "ALARM")
    call, hasty = BaseClient._make_api_call, clients("us-east-1", attempts=1)  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setattr(rollback, "_hasty", lambda: hasty)

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


def test_a_rollback_that_cannot_be_made_raises_so_that_it_is_delivered_again(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        from botocore.exceptions import ClientError

        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "Update")

    monkeypatch.setattr(endpoint, "update_endpoint_weights_and_capacities", refuse)

    class Brief:
        def get_remaining_time_in_millis(self) -> int:
            return 11_000

    with pytest.raises(Exception, match="slow down"):
        rollback.handler(alarm(), Brief())
    assert journal().read().phase is Phase.ROLLING_BACK
    monkeypatch.undo()


def test_a_scheduled_tick_carries_the_rollout_on(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    state = journal().read()
    journal().write(replace(state, phase=Phase.IDLE, challenger=None, pair_config=None))
    assert advance.handler({}, None) == {"phase": "idle", "rollout_id": "000001-b", "weights": {"v-a": 90, "v-b": 10}}
    assert endpoint.config == "solo-a"


def captured(rows: list[float], encoding: str = "JSON", hour: int = 12) -> bytes:
    lines: list[str] = []
    meta = {"inferenceTime": f"2026-01-05T{hour}:00:00Z"}
    for value in rows:
        data = json.dumps({"instances": [{"x": value}]})
        if encoding == "BASE64":
            data = base64.b64encode(data.encode()).decode()
        side = {"endpointInput": {"data": data, "encoding": encoding}}
        lines.append(json.dumps({"captureData": side, "eventMetadata": meta}))
    return "\n".join(lines).encode()


def capture_file(name: str, body: bytes) -> None:
    key = f"capture/endpoint/v-b/2026/01/05/12/{name}.jsonl"
    clients("us-east-1")("s3").put_object(Bucket=BUCKET, Key=key, Body=body)


def told(*dimensions: tuple[str, str], metric: str = "DriftEvidence") -> list[float]:
    answer = clients("us-east-1")("cloudwatch").get_metric_statistics(
        Namespace="modelstack",
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions],
        StartTime=datetime.now(UTC) - timedelta(minutes=5),
        EndTime=datetime.now(UTC) + timedelta(minutes=5),
        Period=3600,
        Statistics=["Maximum"],
    )
    return [point["Maximum"] for point in answer["Datapoints"]]


def arrival(*names: str, folder: str = "capture/endpoint/v-b") -> dict[str, Any]:
    """What the queue says when files have arrived, each in a message with the id of its name."""
    keys = [f"{folder}/2026/01/05/12/{name}.jsonl" for name in names]
    bodies = [json.dumps({"source": "aws.s3", "detail": {"object": {"key": key}}}) for key in keys]
    return {"Records": [{"messageId": name, "body": body} for name, body in zip(names, bodies, strict=True)]}


def again(answer: dict[str, Any]) -> list[str]:
    """The messages that the queue is to give again."""
    assert answer.keys() == {"batchItemFailures"}
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def test_captured_requests_become_drift_metrics(endpoint: Endpoint) -> None:
    dimensions = [("EndpointName", "endpoint"), ("VariantName", "v-b")]
    capture_file("a", captured([9.0] * 40, hour=12))
    assert again(drift.handler(arrival("a"), None)) == []
    assert (told(*dimensions), told(*dimensions, metric="CaptureRows")) == ([], [40])
    capture_file("b", captured([9.0] * 40, "BASE64", hour=13) + b"\nnot json")
    assert again(drift.handler(arrival("a", "b", "b"), None)) == []
    assert told(*dimensions, metric="CaptureRows") == [40], "more would be the rows of a twice"
    evidence = told(*dimensions)
    assert evidence[0] > 0, "the block of the hour before has ended"
    assert evidence == told(*dimensions, ("Feature", "x"))
    assert told(*dimensions, ("Feature", "x"), metric="DriftDistance")[0] > 0.5
    assert told(*dimensions, metric="OutOfRange") == [40]
    assert told(*dimensions, metric="CaptureUnreadable") == [1]
    kept = clients("us-east-1")("s3").get_object(
        Bucket=BUCKET, Key="capture-rejected/endpoint/v-b/2026/01/05/12/b.jsonl"
    )
    assert json.loads(kept["Body"].read()) == {"why": "the line is no JSON", "line": "not json"}


def test_a_sweep_counts_what_no_message_told_of_and_ends_the_block_of_an_hour_that_is_over(endpoint: Endpoint) -> None:
    capture_file("b", captured([9.0] * 40, hour=12))
    assert drift.handler({}, None)["v-b"]["rows"] == 40
    assert drift.handler({}, None) == {"v-a": {"rows": 0, "evidence": None}, "v-b": {"rows": 0, "evidence": ANY}}
    assert told(("EndpointName", "endpoint"), ("VariantName", "v-b"))[0] > 0
    key = f"capture/endpoint/v-b/{datetime.now(UTC):%Y/%m/%d/%H}/99-00.jsonl"
    clients("us-east-1")("s3").put_object(Bucket=BUCKET, Key=key, Body=captured([9.0]))
    drift.handler({}, None)
    late = key.replace("99-00", "00-00")
    clients("us-east-1")("s3").put_object(Bucket=BUCKET, Key=late, Body=captured([9.0] * 2))
    assert [drift.handler({}, None)["v-b"]["rows"] for _ in range(2)] == [2, 0]


def test_messages_that_cannot_be_read_go_back_and_those_of_others_do_not(endpoint: Endpoint) -> None:
    capture_file("a", captured([9.0] * 40))
    event = arrival("a")
    event["Records"] += [{"messageId": "broken", "body": "{"}, {"messageId": "other", "body": '{"detail": 3}'}]
    event["Records"] += arrival("foreign", folder="capture/another/v-b")["Records"]
    event["Records"] += arrival("gone", folder="capture/endpoint/v-gone")["Records"]
    assert again(drift.handler(event, None)) == ["broken", "other"]
    assert told(("EndpointName", "endpoint"), ("VariantName", "v-b"), metric="CaptureRows") == [40]


def test_messages_of_what_there_was_no_time_for_go_back(endpoint: Endpoint) -> None:
    class Brief:
        def get_remaining_time_in_millis(self) -> int:
            return 1000

    for name in ("a", "b"):
        capture_file(name, captured([9.0] * 40))
    assert again(drift.handler(arrival("a", "b"), Brief())) == ["a", "b"], "which of them is known to the list only"
    assert again(drift.handler(arrival("a", "b"), Brief())) == []
    assert told(("EndpointName", "endpoint"), ("VariantName", "v-b"), metric="CaptureRows") == [40]


def test_what_was_counted_takes_little_room_in_its_item(endpoint: Endpoint) -> None:
    source = np.random.default_rng(2)
    sizes: list[int] = []
    for hour in range(10, 24):
        capture_file(f"{hour}", captured(source.uniform(-1, 9, 60).tolist(), hour=hour))
        drift.handler(arrival(f"{hour}"), None)
        key = {"endpoint": {"S": "endpoint#drift#v-b"}}
        item = clients("us-east-1")("dynamodb").get_item(TableName="rollouts", Key=key)["Item"]
        assert item.keys() == {"endpoint", "revision", "reading"}, "all metrics are sent"
        sizes.append(len(item["reading"]["B"]))
    assert max(sizes) < 1500, "for a feature, whatever the rows"


def test_a_file_leaves_a_mark_that_expires_when_no_message_can_come_any_more(endpoint: Endpoint) -> None:
    capture_file("a", captured([9.0] * 40))
    drift.handler(arrival("a"), None)
    key = {"endpoint": {"S": "#counted#capture/endpoint/v-b/2026/01/05/12/a.jsonl"}}
    item = clients("us-east-1")("dynamodb").get_item(TableName="rollouts", Key=key)["Item"]
    days_left = (int(item["expires"]["N"]) - datetime.now(UTC).timestamp()) / 86_400
    assert days_left > 2 * 14, "as long as two queues, one after the other, keep a message"


def test_nothing_in_an_archive_of_other_bytes_is_read(endpoint: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    key = journal().read().champion.archive_uri.split("/", 3)[3]  # pyright: ignore[reportOptionalMemberAccess]
    clients("us-east-1")("s3").put_object(Bucket=BUCKET, Key=key, Body=archive({"rows": 1, "features": {}}))
    with pytest.raises(DigestMismatch, match="nothing in it was read"):
        drift.handler({}, None)
    assert "reference not read" in capsys.readouterr().out


def unmeasured() -> int:
    """How often `DriftUnmeasured` was counted for the challenger."""
    answer = clients("us-east-1")("cloudwatch").get_metric_statistics(
        Namespace="modelstack",
        MetricName="DriftUnmeasured",
        Dimensions=[{"Name": "EndpointName", "Value": "endpoint"}, {"Name": "VariantName", "Value": "v-b"}],
        StartTime=datetime.now(UTC) - timedelta(minutes=5),
        EndTime=datetime.now(UTC) + timedelta(minutes=5),
        Period=3600,
        Statistics=["Sum"],
    )
    return sum(int(point["Sum"]) for point in answer["Datapoints"])


@pytest.mark.parametrize("what", ["gone", "without reference.json", "with another form of it"])
def test_a_release_whose_reference_cannot_be_had_is_counted_and_stops_nothing(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    sealed = {
        "gone": b"x",
        "without reference.json": archive({}, name="other.json"),
        "with another form of it": archive({"rows": "many"}),
    }[what]
    b = release("b", sealed)
    if what != "gone":
        clients("us-east-1")("s3").put_object(Bucket=BUCKET, Key=b.archive_uri.split("/", 3)[3], Body=sealed)
    journal().write(replace(journal().read(), challenger=b))
    capture_file("a", captured([9.0] * 40))

    assert drift.handler({}, None) == {"v-a": {"rows": 0, "evidence": None}}
    assert unmeasured() == 1
    assert '"reference not read", "variant": "v-b"' in capsys.readouterr().out
    assert again(drift.handler(arrival("a"), None)) == [], "a later list will show it"
    assert unmeasured() == 2


def test_a_late_file_of_a_release_whose_reference_cannot_be_had_is_told_again(endpoint: Endpoint) -> None:
    capture_file("b", captured([9.0] * 40))
    drift.handler(arrival("b"), None)
    journal().write(replace(journal().read(), challenger=release("b", b"gone")))
    capture_file("a", captured([9.0] * 40))
    assert again(drift.handler(arrival("a", "b"), None)) == ["a"], "no list will show it"


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ("GetItem", 503),
        ("ListObjectsV2", 503),
        ("GetObject", 503),
        ("TransactWriteItems", 503),
        ("PutMetricData", 503),
        ("GetObject", 403),
    ],
)
def test_a_service_that_fails_is_left_to_the_next_call_and_one_that_refuses_is_an_error(
    endpoint: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    operation: str,
    status: int,
) -> None:
    from botocore.client import BaseClient
    from botocore.exceptions import ClientError

    capture_file("a", captured([9.0] * 60) + b"\n" + captured([9.0], hour=13))
    answer = {"Error": {"Code": "AccessDenied" if status == 403 else "InternalError"}}
    call = BaseClient._make_api_call  # pyright: ignore[reportAttributeAccessIssue]

    def fails(self: Any, name: str, request: dict[str, Any]) -> Any:
        if name == operation and "packages/" not in str(request.get("Key")):
            raise ClientError({**answer, "ResponseMetadata": {"HTTPStatusCode": status}}, name)  # pyright: ignore[reportArgumentType]
        return call(self, name, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", fails)
    if status == 403:
        with pytest.raises(Exception, match="AccessDenied"):
            drift.handler(arrival("a"), None)
        return
    assert again(drift.handler(arrival("a"), None)) == ["a"]
    assert "InternalError" in capsys.readouterr().out
    drift.handler({}, None)
    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    drift.handler({}, None)
    later = time.time() + 1000
    monkeypatch.setattr(drift.time, "time", lambda: later)
    drift.handler({}, None)
    assert told(("EndpointName", "endpoint"), ("VariantName", "v-b"), metric="CaptureRows") == [61]
    assert len(told(("EndpointName", "endpoint"), ("VariantName", "v-b"))) == 1


def test_an_endpoint_without_releases_has_nothing_to_measure(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENDPOINT_NAME", "other")
    assert drift.handler({}, None) == {}


def test_settings_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDPOINT_NAME", "endpoint")
    monkeypatch.delenv("JOURNAL_TABLE", raising=False)
    with pytest.raises(ValueError, match="environment variable JOURNAL_TABLE: missing"):
        Settings.from_environment()
    for name, value, expected in (
        ("DRIFT_MINUTES", "many", "a whole number above 0"),
        ("DRIFT_FALSE_ALARMS", "few", "a number above 0 and below 1"),
        ("DRIFT_FALSE_ALARMS", "1", "a number above 0 and below 1"),
    ):
        with monkeypatch.context() as only_now:
            only_now.setenv(name, value)
            only_now.setenv("JOURNAL_TABLE", "rollouts")
            with pytest.raises(ValueError, match=f"{name}: got '{value}', expected {expected}"):
                Settings.from_environment()


def test_a_handler_waits_no_longer_than_it_is_let(monkeypatch: pytest.MonkeyPatch) -> None:
    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 30_000

    assert (seconds_left(Context(), most=60), seconds_left(Context(), most=5), seconds_left(None, most=9)) == (20, 5, 9)


@pytest.mark.parametrize("name", ["rollback", "advance", "drift", "labels"])
def test_a_handler_imports_within_200_ms_of_boto3_and_nothing_but_the_standard_library(name: str) -> None:
    program = f"""
import sys, time
import boto3, botocore.config, botocore.exceptions
before = set(sys.modules)
start = time.process_time()
import monitoring.handlers.{name}
taken = time.process_time() - start
rooms = {{"monitoring", "rollout"}}
other = {{item.partition(".")[0] for item in set(sys.modules) - before}} - rooms - set(sys.stdlib_module_names)
print(taken * 1000, sorted(other))
"""
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    taken, other = run.stdout.split(" ", 1)
    assert float(taken) < 200
    assert other.strip() == "[]"
