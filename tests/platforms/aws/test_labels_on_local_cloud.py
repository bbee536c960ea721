"""The whole path of labels on a running local cloud: captures, S3 events, the real function and role, real metrics."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.aws import policies
from infra.aws.function import RUNTIME
from infra.aws.labels import FOLDERS
from infra.aws.lambda_zip import seal
from infra.aws.statements import document, trust
from platforms.aws.journal import DynamoJournal
from rollout.core.plan import Plan, Step
from rollout.core.state import Phase, RolloutState
from tests.platforms.aws.mocked import labels_table
from tests.platforms.aws.on_cloud import Clients, Stage, configured, point_at
from tests.platforms.load import wait_for

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[3]
ROLLOUT = "000002-b"


class Labelled(Stage):
    """An endpoint with two variants, v-a right and v-b wrong, on trial; and the path of labels as infra declares it."""

    def __init__(self, code: bytes) -> None:
        super().__init__(Clients(), "truth")
        self.captures = True
        self.key = self.clients("kms").create_key()["KeyMetadata"]["Arn"]
        encryption = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.key}
        self.clients("s3").put_bucket_encryption(
            Bucket=self.names.bucket,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": encryption, "BucketKeyEnabled": True}]
            },
        )
        labels_table(self.clients, self.names.labels)
        self.function = self._function(code)
        self._on_trial()

    def _function(self, code: bytes) -> str:
        name = self.names.function("labels")
        self.clients("sqs").create_queue(QueueName=self.names.labels_dead_letters)
        iam = self.clients("iam")
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("lambda"))["Role"]["Arn"]
        statements = [policies.function_logs(self.names), *policies.labels(self.names, self.key)]
        iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=document(*statements))
        made = self.clients("lambda").create_function(
            FunctionName=name,
            Role=role,
            Runtime=RUNTIME,
            Handler="platforms.aws.handlers.labels.handler",
            Code={"ZipFile": code},
            Timeout=300,
            MemorySize=256,
            DeadLetterConfig={"TargetArn": self.names.arn("sqs", self.names.labels_dead_letters)},
            Environment={
                "Variables": {
                    "ENDPOINT_NAME": self.names.endpoint,
                    "JOURNAL_TABLE": self.names.journal,
                    "ARTIFACT_BUCKET": self.names.bucket,
                    "LABELS_TABLE": self.names.labels,
                    "LABELS_WAIT_SECONDS": "1",
                }
            },
        )
        self.clients("lambda").add_permission(
            FunctionName=name,
            StatementId="called-by-s3",
            Action="lambda:InvokeFunction",
            Principal="s3.amazonaws.com",
            SourceArn=f"arn:aws:s3:::{self.names.bucket}",
        )
        self.clients("s3").put_bucket_notification_configuration(
            Bucket=self.names.bucket,
            NotificationConfiguration={
                "LambdaFunctionConfigurations": [
                    {
                        "Id": folder,
                        "LambdaFunctionArn": made["FunctionArn"],
                        "Events": ["s3:ObjectCreated:*"],
                        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": f"{folder}/"}]}},
                    }
                    for folder in FOLDERS
                ]
            },
        )
        return name

    def _on_trial(self) -> None:
        champion, challenger = self.release("a", right=True), self.release("b", right=False)
        pair = self._config("pair", {"a": 1, "b": 1})
        self.clients("sagemaker").create_endpoint(EndpointName=self.names.endpoint, EndpointConfigName=pair)
        wait_for(lambda: self.live().status == "ready")
        state = RolloutState(
            self.names.endpoint, rollout_id=ROLLOUT, phase=Phase.BAKING, champion=champion, challenger=challenger,
            pair_config=pair, plan=Plan(steps=(Step(10, 300),), max_seconds=86_400), step=0,
            step_starts=(time.time(),),
        )  # fmt: skip
        DynamoJournal(self.clients, self.names.journal, self.names.endpoint).write(state)

    def ask(self, inference_id: str, truth: bool, variant: str) -> None:
        self.clients("sagemaker-runtime").invoke_endpoint(
            EndpointName=self.names.endpoint,
            ContentType="application/json",
            Body=json.dumps({"instances": [{"truth": truth}]}),
            InferenceId=inference_id,
            TargetVariant=variant,
        )

    def label(self, name: str, truths: dict[str, bool]) -> None:
        lines = [json.dumps({"inference_id": key, "label": value}) for key, value in truths.items()]
        self.clients("s3").put_object(Bucket=self.names.bucket, Key=f"labels/{name}", Body="\n".join(lines).encode())

    def call(self, event: dict[str, Any]) -> dict[str, Any]:
        answer = self.clients("lambda").invoke(FunctionName=self.function, Payload=json.dumps(event).encode())
        body = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, body
        return body

    def keys(self, *prefixes: str) -> list[str]:
        s3 = self.clients("s3")
        found = [s3.list_objects_v2(Bucket=self.names.bucket, Prefix=prefix).get("Contents", []) for prefix in prefixes]
        return [item["Key"] for items in found for item in items]

    def seen(self, name: str, *dimensions: str) -> tuple[float, float]:
        """How many values, and their sum."""
        place = zip(("EndpointName", "VariantName", "RolloutId"), (self.names.endpoint, *dimensions), strict=False)
        points = self.clients("cloudwatch").get_metric_statistics(
            Namespace="modelstack",
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in place],
            StartTime=datetime.now(UTC) - timedelta(minutes=20),
            EndTime=datetime.now(UTC) + timedelta(minutes=2),
            Period=60,
            Statistics=["SampleCount", "Sum"],
        )["Datapoints"]
        return sum(point["SampleCount"] for point in points), sum(point["Sum"] for point in points)


@pytest.fixture(scope="module")
def stage(new_cloud: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labelled]:
    server = Path(__file__).parent / "truthful_model.py"
    cloud = new_cloud(configured(tmp_path_factory.mktemp("config"), server))
    cloud.start()
    with pytest.MonkeyPatch.context() as patch:
        point_at(cloud, patch)
        yield Labelled(seal(ROOT, tmp_path_factory.mktemp("code")).path.read_bytes())


def test_late_early_and_repeated_labels_show_once_which_variant_is_wrong(stage: Labelled) -> None:
    truths = {f"order-{number}": number % 3 == 0 for number in range(40)}
    asked = list(truths.items())
    stage.label("before.jsonl", dict(asked[:10]))  # before their answers
    for number, (inference_id, truth) in enumerate(asked):
        stage.ask(inference_id, truth, "v-a" if number % 2 else "v-b")
    stage.label("after.jsonl", dict(reversed(asked[10:30])))
    wait_for(lambda: stage.seen("Accuracy", "v-a")[0] + stage.seen("Accuracy", "v-b")[0] >= 30)
    stage.label("again.jsonl", dict(asked[:30]))  # as a drop that overlaps
    stage.label("last.jsonl", {**dict(asked[30:]), "order-0": not truths["order-0"], "ghost": True})
    wait_for(lambda: stage.seen("LabelsContradicting")[0] >= 1)
    wait_for(lambda: stage.seen("LabelsDuplicate")[0] >= 1)

    files = stage.keys("capture/", "labels/")
    for _ in range(2):  # every event once more, in another order
        stage.call({"Records": [{"s3": {"object": {"key": key}}} for key in reversed(files)]})
    time.sleep(1.1)
    assert stage.call({}) == {"given_up": 1}
    assert stage.call({}) == {"given_up": 0}

    for trial in ((), (ROLLOUT,)):
        assert stage.seen("Accuracy", "v-a", *trial) == (20, 20)
        assert stage.seen("Accuracy", "v-b", *trial) == (20, 0)
        assert stage.seen("LogLoss", "v-a", *trial) == (20, pytest.approx(20 * 0.28768, abs=1e-3))
        assert stage.seen("LogLoss", "v-b", *trial) == (20, pytest.approx(20 * 1.38629, abs=1e-3))
        assert stage.seen("LogLossSquared", "v-b", *trial) == (20, pytest.approx(20 * 1.38629**2, abs=1e-3))
    assert stage.seen("LabelsDuplicate")[1] == 30
    assert stage.seen("LabelsContradicting")[1] == 1
    assert stage.seen("LabelsUnknown")[1] == 1
    assert stage.seen("LabelsLost") == stage.seen("AnswersUnreadable") == (0, 0)

    s3, kinds = stage.clients("s3"), list[str]()
    for key in stage.keys("labels-rejected/"):
        body = s3.get_object(Bucket=stage.names.bucket, Key=key)["Body"].read()
        kinds += [json.loads(line)["kind"] for line in body.splitlines()]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "LabelsDuplicate": 30, "LabelsContradicting": 1, "LabelsUnknown": 1
    }  # fmt: skip
