"""An endpoint whose answers and labels meet on moto's DynamoDB, S3 and CloudWatch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from platforms.aws.clients import Clients
from platforms.aws.handlers import labels
from platforms.aws.journal import DynamoJournal
from platforms.aws.packages import BASELINE, FORM
from rollout.core.plan import Plan, Step
from rollout.core.release import Release
from rollout.core.state import Phase, RolloutState
from tests.platforms.aws.mocked import journal_table, labels_table, mocked_aws
from tests.platforms.aws.sealing import sealed_release

BUCKET = "artifacts"
DECLARED = {"kind": "classification", "classes": [False, True], "decision": "late", "probability": "p"}


class Killed(BaseException):
    """What `kill -9` is to a call: nothing catches it."""


class World:
    """An endpoint `e` with champion v-a and, on trial since now, challenger v-b; files, deliveries, metrics.

    Attributes:
        now: The time, epoch seconds; tests move it.
        kill_after: After how many more AWS calls the running delivery is killed; None: never.
        refuse: What the next PutMetricData raises.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, real: Clients) -> None:
        self.real = real
        self.now = float(int(datetime.now(UTC).timestamp()))
        self.kill_after: int | None = None
        self.refuse: Exception | None = None
        self.names = 0
        self.sent: list[dict[str, Any]] = []
        labels._form.cache_clear()
        labels._baseline.cache_clear()
        labels._forgotten.clear()
        monkeypatch.setattr(labels, "_clients", lambda: self.client)
        monkeypatch.setattr(labels, "_cloudwatch", lambda: self.client("cloudwatch"))
        monkeypatch.setattr(labels.time, "time", lambda: self.now)
        journal_table(real)
        labels_table(real)
        self.real("s3").create_bucket(Bucket=BUCKET)
        a, b = self.release("a", DECLARED), self.release("b", DECLARED)
        self.write_state(
            RolloutState(
                "e", rollout_id="000002-b", phase=Phase.BAKING, champion=a, challenger=b, pair_config="pair",
                plan=Plan(steps=(Step(10, 300),), max_seconds=86_400), step=0, step_starts=(self.now,),
            )
        )  # fmt: skip

    def client(self, service: str) -> Any:
        return _Counting(self, self.real(service))

    def called(self) -> None:
        if self.kill_after is not None:
            self.kill_after -= 1
            if self.kill_after < 0:
                raise Killed

    def release(self, name: str, form: Any, baseline: Any = None) -> Release:
        return sealed_release(name, self.real("s3"), BUCKET, {FORM: form, "of.json": name, BASELINE: baseline})

    def register(self, release: Release) -> None:
        """Keep a release's package in the registry alone, as one that was rolled back."""
        sagemaker = self.real("sagemaker")
        sagemaker.create_model_package_group(ModelPackageGroupName="e")
        sagemaker.create_model_package(
            ModelPackageGroupName="e",
            InferenceSpecification={
                "Containers": [{"Image": release.image_uri, "ModelDataUrl": release.archive_uri}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            CustomerMetadataProperties={
                name: getattr(release, name) for name in ("recipe", "manifest_sha256", "package_digest")
            },
        )

    def state(self) -> RolloutState:
        return DynamoJournal(self.real, "rollouts", "e").read()

    def write_state(self, state: RolloutState) -> None:
        DynamoJournal(self.real, "rollouts", "e").write(state)

    def captured(self, variant: str, *answers: tuple[str | None, Any, Any], ago: float = 0, **meta: Any) -> str:
        """A file of captured answers: inference id, decision, probability; returns its key."""
        self.names += 1
        when = datetime.fromtimestamp(self.now - ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        lines: list[str] = []
        for number, (inference_id, late, probability) in enumerate(answers):
            several = late if isinstance(late, list) else [(late, probability)]
            answer = {"predictions": [{"late": one, "p": p} for one, p in several]}
            known = {"inferenceId": inference_id} if inference_id else {}
            record = {
                "captureData": {
                    "endpointInput": {"data": json.dumps({"instances": [{}] * len(several)}), "encoding": "JSON"},
                    "endpointOutput": {"data": json.dumps(answer), "encoding": "JSON"},
                },
                "eventMetadata": {"eventId": f"{self.names}-{number}", "inferenceTime": when, **known, **meta},
            }
            lines.append(json.dumps(record))
        return self.file(f"capture/e/{variant}/2026/01/05/12/{self.names:03}.jsonl", "\n".join(lines))

    def labelled(self, *lines: tuple[str, Any] | str) -> str:
        """A file of labels: inference id and label, or the line itself; returns its key."""
        self.names += 1
        text = "\n".join(
            line if isinstance(line, str) else json.dumps({"inference_id": line[0], "label": line[1]}) for line in lines
        )
        return self.file(f"labels/{self.names:03} of today.jsonl", text)

    def file(self, key: str, text: str) -> str:
        self.real("s3").put_object(Bucket=BUCKET, Key=key, Body=text.encode())
        return key

    def deliver(self, *keys: str) -> dict[str, Any]:
        records = [{"s3": {"object": {"key": key.replace(" ", "+")}}} for key in keys]
        return labels.handler({"Records": records}, None)

    def sweep(self) -> dict[str, Any]:
        return labels.handler({}, None)

    def seen(self, name: str, *dimensions: str) -> tuple[float, float]:
        """How many values, and their sum, of a metric of the endpoint and, where given, variant and rollout."""
        names = ("EndpointName", "VariantName", "RolloutId")
        place = dict(zip(names, ("e", *dimensions), strict=False))
        found = [
            (value, count)
            for item in self.sent
            if item["MetricName"] == name and {one["Name"]: one["Value"] for one in item["Dimensions"]} == place
            for value, count in zip(item["Values"], item.get("Counts", [1] * len(item["Values"])), strict=True)
        ]
        return sum(count for _, count in found), sum(value * count for value, count in found)

    def rejected(self) -> list[tuple[str, str]]:
        """Kind and reason of every line that was kept aside."""
        found: list[tuple[str, str]] = []
        listed = self.real("s3").list_objects_v2(Bucket=BUCKET, Prefix="labels-rejected/").get("Contents", [])
        for item in listed:
            body = self.real("s3").get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read().decode()
            found += [(line["kind"], line["reason"]) for line in map(json.loads, body.splitlines())]
        return sorted(found)


class _Counting:
    """A client whose calls may be killed before they begin; CloudWatch's keeps what was sent to it."""

    def __init__(self, world: World, real: Any) -> None:
        self._world, self._real = world, real

    def __getattr__(self, name: str) -> Any:
        def call(**given: Any) -> Any:
            self._world.called()
            if name == "put_metric_data" and self._world.refuse is not None:
                refuse, self._world.refuse = self._world.refuse, None
                raise refuse
            if name == "put_metric_data":
                self._world.sent += given["MetricData"]
                return {}
            return getattr(self._real, name)(**given)

        return call


@contextmanager
def a_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world with the environment of the labels function."""
    with mocked_aws(
        monkeypatch, ENDPOINT_NAME="e", JOURNAL_TABLE="rollouts", ARTIFACT_BUCKET=BUCKET, LABELS_TABLE="labels",
        LABELS_WAIT_SECONDS="3600", PACKAGE_GROUP="e",
    ) as real:  # fmt: skip
        yield World(monkeypatch, real)
