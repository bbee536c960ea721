"""The labels handler with its adapters: files of answers and labels become metrics, each pair once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from modelstack.platforms.aws.clients import Clients
from modelstack.platforms.aws.handlers import labels
from modelstack.platforms.aws.journal import copied_journal
from modelstack.rollout.core.errors import Busy, Unreachable
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.release import Release, release_id
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.services.promises import remembered
from modelstack.services.sealed_packages import FORM, DigestMismatch, member_uri
from modelstack.services.versions import PastReleases
from tests.captured import answers
from tests.needed import needed
from tests.platforms.aws.mocked import documents_table, journal_table, mocked_aws
from tests.platforms.aws.rights import USED
from tests.platforms.aws.sealing import put, sealed_release

pytestmark = pytest.mark.slow  # its last test looks at what all of them used

BUCKET, ROLLOUT = "artifacts", "000002-b"
DECLARED = {"kind": "classification", "classes": [False, True], "decision": "late", "probability": "p"}


class CloudWatch:
    """Keeps what was sent, or refuses it."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.refuse: Exception | None = None

    def put_metric_data(self, MetricData: list[dict[str, Any]], **_: Any) -> None:
        refuse, self.refuse = self.refuse, None
        if refuse:
            raise refuse
        self.sent += MetricData

    def seen(self, name: str, *dimensions: str) -> tuple[float, float]:
        """How many values, and their sum, of a metric of the endpoint and, where given, variant and rollout."""
        place = dict(zip(("EndpointName", "VariantName", "RolloutId"), ("e", *dimensions), strict=False))
        found = [
            (value, count)
            for item in self.sent
            if item["MetricName"] == name and {one["Name"]: one["Value"] for one in item["Dimensions"]} == place
            for value, count in zip(item["Values"], item.get("Counts", [1] * len(item["Values"])), strict=True)
        ]
        return sum(count for _, count in found), sum(value * count for value, count in found)


class Stack:
    """An endpoint `e` with champion v-a and, on trial, challenger v-b."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, real: Clients) -> None:
        self.real, self.now, self.files, self.cloudwatch = real, datetime.now(UTC).timestamp(), 0, CloudWatch()
        monkeypatch.setattr(labels, "_clients", lambda: real)
        monkeypatch.setattr(labels, "_cloudwatch", lambda: self.cloudwatch)
        monkeypatch.setattr(labels, "_now", lambda: self.now)
        monkeypatch.setattr(labels, "_member", remembered(labels._read))
        monkeypatch.setattr(labels, "_past", PastReleases(labels._past.registry))
        journal_table(real)
        documents_table(real)
        real("s3").create_bucket(Bucket=BUCKET)
        self.a, self.b = self.release("a"), self.release("b")
        state = RolloutState(
            "e", rollout_id=ROLLOUT, phase=Phase.BAKING, champion=self.a, challenger=self.b, pair_config="pair",
            plan=Plan(steps=(Step(10, 300),), max_seconds=86_400), step=0, step_starts=(self.now - 10,),
        )  # fmt: skip
        copied_journal(real, "rollouts", "e").write(state)

    def release(self, name: str) -> Release:
        return sealed_release(name, self.real("s3"), BUCKET, {FORM: DECLARED, "of.json": name})

    def captured(self, variant: str, *given: tuple[str, bool, float], endpoint: str = "e") -> str:
        lines = answers(*given, at=self.now, event=f"{variant}-{self.files}")
        return self.file(f"capture/{endpoint}/{variant}/2026/01/05/12/", lines.decode())

    def labelled(self, *lines: tuple[str, bool]) -> str:
        return self.file("labels/", "\n".join(json.dumps({"inference_id": of, "label": late}) for of, late in lines))

    def file(self, folder: str, text: str) -> str:
        self.files += 1
        key = f"{folder}{self.files:03} of today.jsonl"
        self.real("s3").put_object(Bucket=BUCKET, Key=key, Body=text.encode())
        return key

    def deliver(self, *keys: str) -> dict[str, Any]:
        records = [{"s3": {"object": {"key": key.replace(" ", "+")}}} for key in keys]
        return labels.handler({"Records": records}, None)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with mocked_aws(
        monkeypatch, ENDPOINT_NAME="e", JOURNAL_TABLE="rollouts", ARTIFACT_BUCKET=BUCKET, DOCUMENTS_TABLE="documents",
        PACKAGE_GROUP="e",
    ) as real:  # fmt: skip
        yield Stack(monkeypatch, real)


def test_pairs_become_metrics_of_the_variant_and_of_the_trial_and_unknown_labels_are_given_up(stack: Stack) -> None:
    keys = (
        stack.captured("v-a", *((f"x{n}", n % 2 == 0, 0.8) for n in range(200))),
        stack.captured("v-b", ("x0", True, 0.5)),
    )
    truth = stack.labelled(*((f"x{n}", True) for n in range(200)), ("ghost", True), ("x0", False))
    for _ in range(2):
        stack.deliver(*keys, truth)
    seen = stack.cloudwatch.seen
    assert seen("Accuracy", "v-a") == seen("Accuracy", "v-a", ROLLOUT) == (200, 100)
    assert seen("Accuracy", "v-b") == seen("Accuracy", "v-b", ROLLOUT) == (1, 1)
    assert seen("InvalidAnswers", "v-a", ROLLOUT) == (200, 0)
    assert (seen("RealisedAccuracy", "v-a"), seen("LabelsContradicting")[1]) == ((1, 0.5), 1)
    assert max(len(item["Values"]) for item in stack.cloudwatch.sent) == 90, "a transaction's; CloudWatch takes 150"
    assert seen("LabelsDelay")[0] == 2
    assert labels.handler({}, None) == {"given_up": 0}
    stack.now += 3601
    assert [labels.handler({}, None) for _ in range(2)] == [{"given_up": 1}, {"given_up": 0}]
    assert seen("LabelsUnknown")[1] == 1
    listed = stack.real("s3").list_objects_v2(Bucket=BUCKET, Prefix="labels-rejected/")["Contents"]
    bodies = [stack.real("s3").get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read() for one in listed]
    assert sorted(json.loads(line)["kind"] for body in bodies for line in body.splitlines()) == [
        "LabelsContradicting", "LabelsUnknown",
    ]  # fmt: skip


def test_answers_of_a_version_that_was_rolled_back_are_found_by_the_registry(stack: Stack) -> None:
    gone, sagemaker = stack.release("gone"), stack.real("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="e")
    sagemaker.create_model_package(
        ModelPackageGroupName="e",
        InferenceSpecification={
            "Containers": [{"Image": gone.image_uri, "ModelDataUrl": gone.archive_uri}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        CustomerMetadataProperties={
            name: getattr(gone, name) for name in ("recipe", "manifest_sha256", "package_digest")
        },
    )
    variant = f"v-{release_id(gone.recipe, gone.image_uri)}"
    assert stack.deliver(stack.captured(variant, ("x", True, 0.9)), stack.labelled(("x", True))) == {"joined": 1}
    assert stack.cloudwatch.seen("Accuracy", variant) == (1, 1)
    assert needed("test_labels_handler") <= USED["test_labels_handler"]


def test_nothing_in_a_form_of_other_bytes_is_read(stack: Stack) -> None:
    put(stack.real("s3"), member_uri(stack.b.archive_uri, FORM), b"{}")
    with pytest.raises(DigestMismatch, match="nothing in it was read"):
        stack.deliver(stack.captured("v-b", ("y", True, 0.9)), stack.captured("v-a", ("x", True, 0.9)))
    stack.deliver(stack.labelled(("x", True)))
    assert stack.cloudwatch.seen("Accuracy", "v-a") == (1, 1), "the other files of the event are taken in"


def test_files_of_another_endpoint_are_left_alone(stack: Stack) -> None:
    other = stack.captured("v-a", ("x", True, 0.9), endpoint="f")
    assert stack.deliver(other, stack.file("notes/", "{}"), stack.labelled(("x", True))) == {"joined": 0}


@pytest.mark.parametrize(
    ("status", "error", "joined", "lost"), [(400, Busy, 1, 0), (500, Unreachable, 0, 1), (0, Unreachable, 0, 1)]
)
def test_metrics_are_sent_again_only_if_cloudwatch_has_certainly_not_taken_them(
    stack: Stack, status: int, error: type[Exception], joined: int, lost: int
) -> None:
    stack.deliver(stack.captured("v-a", ("x", True, 0.9)))
    answer = {"Error": {"Code": "Throttling" if status == 400 else "InternalFailure"}}
    stack.cloudwatch.refuse = ClientError({**answer, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutMetricData")
    with pytest.raises(error):
        stack.deliver(stack.labelled(("x", True)))
    for _ in range(2):
        stack.now += 1000
        labels.handler({}, None)
    assert (stack.cloudwatch.seen("Accuracy", "v-a")[0], stack.cloudwatch.seen("LabelsLost")[1]) == (joined, lost)
