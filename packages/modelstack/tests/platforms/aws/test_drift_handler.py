"""The drift handler with its adapters: files as messages tell of them, sweeps, and what cannot be measured."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from unittest.mock import ANY

import numpy as np
import pytest

from modelstack.platforms.aws.handlers import drift
from modelstack.rollout.core.release import Release
from modelstack.services.sealed_packages import REFERENCE, DigestMismatch, member_uri
from tests.captured import line
from tests.needed import needed
from tests.platforms.aws.mocked import clients
from tests.platforms.aws.rights import USED
from tests.platforms.aws.sealing import put
from tests.platforms.aws.stubbed_endpoint import BUCKET, Call, Endpoint, journal, release


def captured(rows: list[float], encoding: str = "JSON", hour: int = 12) -> bytes:
    at = f"2026-01-05T{hour}:00:00Z"
    return b"\n".join(line({"instances": [{"x": value}]}, encoding=encoding, inferenceTime=at) for value in rows)


def capture_file(name: str, body: bytes) -> None:
    key = f"capture/endpoint/v-b/2026/01/05/12/{name}.jsonl"
    clients()("s3").put_object(Bucket=BUCKET, Key=key, Body=body)


def told(
    *dimensions: tuple[str, str], metric: str = "DriftEvidence", statistic: Literal["Maximum", "Sum"] = "Maximum"
) -> list[float]:
    answer = clients()("cloudwatch").get_metric_statistics(
        Namespace="modelstack",
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions],
        StartTime=datetime.now(UTC) - timedelta(minutes=5),
        EndTime=datetime.now(UTC) + timedelta(minutes=5),
        Period=3600,
        Statistics=[statistic],
    )
    return [point[statistic] for point in answer["Datapoints"]]


def arrival(*names: str, folder: str = "capture/endpoint/v-b") -> dict[str, Any]:
    """What the queue says when files have arrived, each in a message with the id of its name."""
    keys = [f"{folder}/2026/01/05/12/{name}.jsonl" for name in names]
    bodies = [json.dumps({"source": "aws.s3", "detail": {"object": {"key": key}}}) for key in keys]
    return {"Records": [{"messageId": name, "body": body} for name, body in zip(names, bodies, strict=True)]}


def again(answer: dict[str, Any]) -> list[str]:
    """The messages that the queue is to give again."""
    assert answer.keys() == {"batchItemFailures"}
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


@pytest.mark.slow
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
    kept = clients()("s3").get_object(Bucket=BUCKET, Key="capture-rejected/endpoint/v-b/2026/01/05/12/b.jsonl")
    assert json.loads(kept["Body"].read()) == {"why": "the line is no JSON", "line": "not json"}
    assert needed("test_drift_handler") <= USED["test_drift_handler"]


def test_a_sweep_counts_what_no_message_told_of_and_ends_the_block_of_an_hour_that_is_over(endpoint: Endpoint) -> None:
    capture_file("b", captured([9.0] * 40, hour=12))
    assert drift.handler({}, None)["v-b"]["rows"] == 40
    assert drift.handler({}, None) == {"v-a": {"rows": 0, "evidence": None}, "v-b": {"rows": 0, "evidence": ANY}}
    assert told(("EndpointName", "endpoint"), ("VariantName", "v-b"))[0] > 0
    key = f"capture/endpoint/v-b/{datetime.now(UTC):%Y/%m/%d/%H}/99-00.jsonl"
    clients()("s3").put_object(Bucket=BUCKET, Key=key, Body=captured([9.0]))
    drift.handler({}, None)
    late = key.replace("99-00", "00-00")
    clients()("s3").put_object(Bucket=BUCKET, Key=late, Body=captured([9.0] * 2))
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
    for name in ("a", "b"):
        capture_file(name, captured([9.0] * 40))
    assert again(drift.handler(arrival("a", "b"), Call(1000))) == ["a", "b"], "which of them is known to the list only"
    assert again(drift.handler(arrival("a", "b"), Call(1000))) == []
    assert told(("EndpointName", "endpoint"), ("VariantName", "v-b"), metric="CaptureRows") == [40]


@pytest.mark.slow
def test_what_was_counted_takes_little_room_in_its_item(endpoint: Endpoint) -> None:
    source = np.random.default_rng(2)
    sizes: list[int] = []
    for hour in range(10, 24):
        capture_file(f"{hour}", captured(source.uniform(-1, 9, 60).tolist(), hour=hour))
        drift.handler(arrival(f"{hour}"), None)
        key = {"id": {"S": "drift#v-b"}}
        item = clients()("dynamodb").get_item(TableName="documents", Key=key)["Item"]
        sizes.append(len(next(iter(item["body"].values()))))
    assert max(sizes) < 1500, "for a feature, whatever the rows"


def test_nothing_in_a_reference_of_other_bytes_is_read(endpoint: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    champion = journal().read().champion
    assert champion is not None
    put(clients()("s3"), member_uri(champion.archive_uri, REFERENCE), b'{"rows": 1, "features": {}}')
    with pytest.raises(DigestMismatch, match="nothing in it was read"):
        drift.handler({}, None)
    assert "reference not read" in capsys.readouterr().out


def unmeasured() -> float:
    """How often `DriftUnmeasured` was counted."""
    return sum(told(("EndpointName", "endpoint"), metric="DriftUnmeasured", statistic="Sum"))


def unreachable() -> Release:
    """Release b, whose package is not in the bucket."""
    return replace(release("b", {}), archive_uri=f"s3://{BUCKET}/packages/gone/model.tar.gz", manifest_sha256="0" * 64)


@pytest.mark.parametrize("what", ["gone", "without reference.json", "with another form of it"])
def test_a_release_whose_reference_cannot_be_had_is_counted_and_stops_nothing(
    endpoint: Endpoint, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    b = {
        "gone": unreachable(),
        "without reference.json": release("b", {}, "other.json"),
        "with another form of it": release("b", {"rows": "many"}),
    }[what]
    journal().write(replace(journal().read(), challenger=b))
    capture_file("a", captured([9.0] * 40))

    assert drift.handler({}, None) == {"v-a": {"rows": 0, "evidence": None}}
    assert unmeasured() == 1
    assert '"reference not read", "endpoint": "endpoint", "variant": "v-b"' in capsys.readouterr().out
    assert again(drift.handler(arrival("a"), None)) == [], "a later list will show it"
    assert unmeasured() == 2


def test_a_late_file_of_a_release_whose_reference_cannot_be_had_is_told_again(endpoint: Endpoint) -> None:
    capture_file("b", captured([9.0] * 40))
    drift.handler(arrival("b"), None)
    gone = unreachable()
    journal().write(replace(journal().read(), challenger=gone))
    capture_file("a", captured([9.0] * 40))
    assert again(drift.handler(arrival("a", "b"), None)) == ["a"], "no list will show it"


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ("BatchGetItem", 503),
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
    call = BaseClient._make_api_call

    def fails(self: Any, name: str, request: dict[str, Any]) -> Any:
        if name == operation and "packages/" not in str(request.get("Key")):
            raise ClientError({**answer, "ResponseMetadata": {"HTTPStatusCode": status}}, name)
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
