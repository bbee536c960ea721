"""The whole path of labels on a running local cloud: captures, S3 events, the real function and role, real metrics."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.aws import policies
from infra.aws.function import RUNTIME
from infra.aws.labels import FOLDERS
from infra.aws.lambda_zip import seal
from platforms.aws.endpoint import DynamoJournal, clients
from platforms.aws.names import Names
from platforms.aws.packages import FORM
from rollout.core.plan import Plan, Step
from rollout.core.release import Release
from rollout.core.state import Phase, RolloutState
from tests.platforms.aws.mocked import journal_table, labels_table
from tests.platforms.aws.sealing import sealed_release

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[3]
NAMES = Names("truth", "local", "000000000000", "us-east-1")
IMAGE = NAMES.process_image
ROLLOUT = "000002-b"
DECLARED = (ROOT / "model" / "answer.json").read_bytes()


class Stage:
    """An endpoint with two variants, v-a right and v-b wrong, on trial; and the path of labels as infra declares it."""

    def __init__(self, cloud: Any, code: bytes) -> None:
        self.client = cloud.client
        self.key = self.client("kms").create_key()["KeyMetadata"]["Arn"]
        self.client("s3").create_bucket(Bucket=NAMES.bucket)
        self.client("s3").put_bucket_encryption(
            Bucket=NAMES.bucket,
            ServerSideEncryptionConfiguration={
                "Rules": [
                    {
                        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.key},
                        "BucketKeyEnabled": True,
                    }
                ]
            },
        )
        journal_table(self.client, NAMES.journal)
        labels_table(self.client, NAMES.labels)
        self.function = self._function(code)
        self._endpoint()

    def _function(self, code: bytes) -> str:
        name = NAMES.function("labels")
        self.client("sqs").create_queue(QueueName=NAMES.labels_dead_letters)
        iam = self.client("iam")
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policies.trust("lambda"))["Role"]["Arn"]
        statements = [policies.function_logs(NAMES), *policies.labels(NAMES, self.key)]
        iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=policies.document(*statements))
        made = self.client("lambda").create_function(
            FunctionName=name,
            Role=role,
            Runtime=RUNTIME,
            Handler="platforms.aws.handlers.labels.handler",
            Code={"ZipFile": code},
            Timeout=300,
            MemorySize=256,
            DeadLetterConfig={"TargetArn": NAMES.arn("sqs", NAMES.labels_dead_letters)},
            Environment={
                "Variables": {
                    "ENDPOINT_NAME": NAMES.endpoint,
                    "JOURNAL_TABLE": NAMES.journal,
                    "ARTIFACT_BUCKET": NAMES.bucket,
                    "LABELS_TABLE": NAMES.labels,
                    "LABELS_WAIT_SECONDS": "1",
                }
            },
        )
        self.client("lambda").add_permission(
            FunctionName=name,
            StatementId="called-by-s3",
            Action="lambda:InvokeFunction",
            Principal="s3.amazonaws.com",
            SourceArn=f"arn:aws:s3:::{NAMES.bucket}",
        )
        self.client("s3").put_bucket_notification_configuration(
            Bucket=NAMES.bucket,
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

    def _release(self, name: str, *, right: bool) -> Release:
        members = {"behaviour.json": {"right": right}, FORM: DECLARED}
        made = sealed_release(name, self.client("s3"), NAMES.bucket, members)
        self.client("sagemaker").create_model(
            ModelName=made.model_name,
            ExecutionRoleArn="arn:aws:iam::000000000000:role/model-serving",
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": made.archive_uri},
        )
        return made

    def _endpoint(self) -> None:
        releases = [self._release("a", right=True), self._release("b", right=False)]
        self.client("sagemaker").create_endpoint_config(
            EndpointConfigName="pair",
            ProductionVariants=[
                {
                    "VariantName": release.variant, "ModelName": release.model_name, "InitialVariantWeight": 1,
                    "InstanceType": "ml.m5.large", "InitialInstanceCount": 1,
                }
                for release in releases
            ],
            DataCaptureConfig={
                "EnableCapture": True,
                "InitialSamplingPercentage": 100,
                "DestinationS3Uri": f"s3://{NAMES.bucket}/capture",
                "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
                "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
            },
        )  # fmt: skip
        self.client("sagemaker").create_endpoint(EndpointName=NAMES.endpoint, EndpointConfigName="pair")
        self.client("sagemaker").get_waiter("endpoint_in_service").wait(
            EndpointName=NAMES.endpoint, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        champion, challenger = releases
        state = RolloutState(
            NAMES.endpoint, rollout_id=ROLLOUT, phase=Phase.BAKING, champion=champion, challenger=challenger,
            pair_config="pair", plan=Plan(steps=(Step(10, 300),), max_seconds=86_400), step=0,
            step_starts=(time.time(),),
        )  # fmt: skip
        session = boto3.Session("test", "test", region_name="us-east-1")
        DynamoJournal(clients("us-east-1", session), NAMES.journal, NAMES.endpoint).write(state)

    def ask(self, inference_id: str, truth: bool, variant: str) -> None:
        self.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=NAMES.endpoint,
            ContentType="application/json",
            Body=json.dumps({"instances": [{"truth": truth}]}),
            InferenceId=inference_id,
            TargetVariant=variant,
        )

    def label(self, name: str, truths: dict[str, bool]) -> None:
        lines = [json.dumps({"inference_id": key, "label": value}) for key, value in truths.items()]
        self.client("s3").put_object(Bucket=NAMES.bucket, Key=f"labels/{name}", Body="\n".join(lines).encode())

    def call(self, event: dict[str, Any]) -> dict[str, Any]:
        answer = self.client("lambda").invoke(FunctionName=self.function, Payload=json.dumps(event).encode())
        body = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, body
        return body

    def keys(self, *prefixes: str) -> list[str]:
        s3 = self.client("s3")
        found = [s3.list_objects_v2(Bucket=NAMES.bucket, Prefix=prefix).get("Contents", []) for prefix in prefixes]
        return [item["Key"] for items in found for item in items]

    def seen(self, name: str, *dimensions: str) -> tuple[float, float]:
        """How many values, and their sum."""
        place = zip(("EndpointName", "VariantName", "RolloutId"), (NAMES.endpoint, *dimensions), strict=False)
        points = self.client("cloudwatch").get_metric_statistics(
            Namespace="modelstack",
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in place],
            StartTime=datetime.now(UTC) - timedelta(minutes=20),
            EndTime=datetime.now(UTC) + timedelta(minutes=2),
            Period=60,
            Statistics=["SampleCount", "Sum"],
        )["Datapoints"]
        return sum(point["SampleCount"] for point in points), sum(point["Sum"] for point in points)

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 300
        while not holds():
            assert time.monotonic() < end, "the labels did not arrive"
            time.sleep(0.5)


@pytest.fixture(scope="module")
def stage(new_cloud: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    toml = tmp_path_factory.mktemp("config") / "localcloud.toml"
    command = json.dumps([sys.executable, str(Path(__file__).parent / "truthful_model.py"), "serve"])
    toml.write_text(f'[[image]]\nrepository = "*-serving"\ncommand = {command}\n')
    cloud = new_cloud(toml)
    cloud.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", cloud.url)
        yield Stage(cloud, seal(ROOT, tmp_path_factory.mktemp("code")).path.read_bytes())


def test_late_early_and_repeated_labels_show_once_which_variant_is_wrong(stage: Stage) -> None:
    truths = {f"order-{number}": number % 3 == 0 for number in range(40)}
    asked = list(truths.items())
    stage.label("before.jsonl", dict(asked[:10]))  # before their answers
    for number, (inference_id, truth) in enumerate(asked):
        stage.ask(inference_id, truth, "v-a" if number % 2 else "v-b")
    stage.label("after.jsonl", dict(reversed(asked[10:30])))
    stage.until(lambda: stage.seen("Accuracy", "v-a")[0] + stage.seen("Accuracy", "v-b")[0] >= 30)
    stage.label("again.jsonl", dict(asked[:30]))  # as a drop that overlaps
    stage.label("last.jsonl", {**dict(asked[30:]), "order-0": not truths["order-0"], "ghost": True})
    stage.until(lambda: stage.seen("LabelsContradicting")[0] >= 1)
    stage.until(lambda: stage.seen("LabelsDuplicate")[0] >= 1)

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

    s3, kinds = stage.client("s3"), list[str]()
    for key in stage.keys("labels-rejected/"):
        body = s3.get_object(Bucket=NAMES.bucket, Key=key)["Body"].read()
        kinds += [json.loads(line)["kind"] for line in body.splitlines()]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "LabelsDuplicate": 30, "LabelsContradicting": 1, "LabelsUnknown": 1
    }  # fmt: skip
