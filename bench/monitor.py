"""What a call of the drift function costs: a thousand captured rows, from S3's bytes to CloudWatch's values.

The handler and its adapters as they are deployed, over clients that answer from memory: AWS's own time is left out.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import statistics
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import numpy as np

from bench.flights import TRAINING, flights, picked
from bench.lambdas import import_ms
from bench.rows import Row
from modelstack.monitoring.bulk import DAY, sealed
from modelstack.monitoring.drift.reference import Reference
from modelstack.platforms.aws.handlers import drift
from modelstack.platforms.aws.journal import copied_journal
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import RolloutState
from modelstack.services.sealed_packages import MANIFEST, REFERENCE

ROWS = 1000
_CALLS = 9
_SETTINGS = {
    "ENDPOINT_NAME": "endpoint",
    "JOURNAL_TABLE": "rollouts",
    "ARTIFACT_BUCKET": "bucket",
    "DOCUMENTS_TABLE": "documents",
}


class _Cloud:
    """DynamoDB, S3 and CloudWatch in memory, as far as the function asks them."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}
        self.objects: dict[str, bytes] = {}
        self.values = 0

    def __call__(self, _: str) -> _Cloud:
        return self

    def get_item(self, Key: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        found = self.items.get(_name(Key))
        return {} if found is None else {"Item": found}

    def batch_get_item(self, RequestItems: Mapping[str, Any]) -> dict[str, Any]:
        names = {table: map(_name, asked["Keys"]) for table, asked in RequestItems.items()}
        return {"Responses": {t: [self.items[key] for key in keys if key in self.items] for t, keys in names.items()}}

    def put_item(self, Item: Mapping[str, Any], **_: Any) -> None:
        self.items[_name(Item)] = Item

    def transact_write_items(self, TransactItems: list[Any]) -> None:
        for action in TransactItems:
            if "Put" in action:
                self.put_item(**action["Put"])
            else:
                del self.items[_name(action["Delete"]["Key"])]

    def list_objects_v2(self, Prefix: str, StartAfter: str, **_: Any) -> dict[str, Any]:
        keys = sorted(key for key in self.objects if key.startswith(Prefix) and key > StartAfter)
        return {"Contents": [{"Key": key} for key in keys]}

    def get_object(self, Key: str, **_: Any) -> dict[str, Any]:
        return {"Body": _Body(self.objects[Key])}

    def put_metric_data(self, MetricData: list[Any], **_: Any) -> None:
        self.values += len(MetricData)


def _name(item: Mapping[str, Any]) -> str:
    return item["endpoint" if "endpoint" in item else "id"]["S"]


class _Body(io.BytesIO):
    def iter_chunks(self, _: int) -> list[bytes]:
        return [self.getvalue()]


def rows() -> list[Row]:
    """The cost of a call, and of the import before the first one."""
    spent, values = _calls()
    each = f"{ROWS:,} rows of 16 features, a new day a call; {values} values were sent by a call"
    return [
        Row("monitor_ms", round(statistics.median(spent), 1), "ms", "< 150", each),
        Row("monitor_import_ms", round(import_ms("drift"), 1), "ms", "< 300", "beyond boto3's own, from the zip"),
    ]


def _calls() -> tuple[list[float], int]:
    """Milliseconds of each call but the first, which reads the package; and the values that the last one sent."""
    cloud, (columns, times) = _Cloud(), flights()
    release = _release(cloud, Reference(*sealed(picked(columns, np.arange(TRAINING)), times[:TRAINING])))
    copied_journal(cloud, "rollouts", "endpoint").write(
        RolloutState("endpoint", champion=release, weights={release.variant: 100})
    )
    spent: list[float] = []
    sent = 0
    with patch.dict(os.environ, _SETTINGS), patch.object(drift, "_clients", lambda: cloud):
        for call in range(_CALLS):
            key = f"capture/endpoint/{release.variant}/{call:04}.jsonl"
            cloud.objects = {**cloud.objects, key: _captured(columns, TRAINING + call * ROWS, call)}
            begun, before = time.perf_counter(), cloud.values
            with patch("sys.stdout", io.StringIO()):
                drift.handler(_arrival(key), None)
            spent.append(1000 * (time.perf_counter() - begun))
            sent = cloud.values - before
    return spent[1:], sent


def _arrival(key: str) -> dict[str, Any]:
    """What the queue says when a file has come."""
    return {"Records": [{"messageId": "1", "body": json.dumps({"detail": {"object": {"key": key}}})}]}


def _release(cloud: _Cloud, reference: Reference) -> Release:
    body = json.dumps(reference.as_dict()).encode()
    manifest = json.dumps({"files": {REFERENCE: hashlib.sha256(body).hexdigest()}}).encode()
    cloud.objects |= {f"packages/{MANIFEST}": manifest, f"packages/{REFERENCE}": body}
    uri, proof = "s3://bucket/packages/model.tar.gz", hashlib.sha256(manifest).hexdigest()
    return Release("a", "a", "sha256:x", uri, "image", proof, "arn:a", "model", "v-a", "solo-a", "1 x ml.m5.large")


def _captured(columns: Mapping[str, Any], first: int, day: int) -> bytes:
    at = datetime.fromtimestamp(day * DAY, UTC).isoformat()
    names, lines = list(columns), list[str]()
    for row in zip(*(columns[name][first : first + ROWS].tolist() for name in names), strict=True):
        instance = {name: None if value != value else value for name, value in zip(names, row, strict=True)}  # noqa: PLR0124  NaN
        side = {"data": json.dumps({"instances": [instance]}), "encoding": "JSON"}
        lines.append(json.dumps({"captureData": {"endpointInput": side}, "eventMetadata": {"inferenceTime": at}}))
    return "\n".join(lines).encode()
