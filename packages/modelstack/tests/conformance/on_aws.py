"""A stage on the local cloud: SageMaker, a journal in DynamoDB, CloudWatch's alarms, SNS and Lambda."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from localcloud.process import ProcessError
from localcloud.testing import Cloud
from modelstack.platforms.aws.counters import CloudWatchCounters
from modelstack.platforms.aws.documents import DynamoDocuments
from modelstack.platforms.aws.endpoint import controller_with
from modelstack.platforms.aws.evaluations import ratio
from modelstack.platforms.aws.files import S3Files
from modelstack.platforms.aws.journal import copied_journal
from modelstack.platforms.aws.names import Names
from modelstack.platforms.aws.published import CloudWatchMetrics
from modelstack.platforms.aws.traffic import SageMakerTraffic
from modelstack.program.aws import policies
from modelstack.program.aws.function import RUNTIME
from modelstack.program.aws.statements import document, trust
from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.core.live import Approval, Live
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import RolloutState
from modelstack.services.declaration import alarm_thresholds
from modelstack.services.journal import CopiedJournal
from modelstack.services.labels import Labels
from modelstack.services.promises import Promises
from modelstack.services.sealed_packages import FORM
from tests.conformance import mortal
from tests.conformance.stage import (
    LABEL_LATE,
    PATIENCE,
    PERIODS,
    SLOW_MS,
    TOLERATED,
    Call,
    Effect,
    FaultStage,
    Killed,
    Message,
    beside,
)
from tests.platforms.aws.inbox import Inbox
from tests.platforms.aws.mocked import documents_table, journal_table
from tests.platforms.aws.on_cloud import ACCOUNT, DECLARED, PREDICTION, REGION, Clients, EndpointLoad
from tests.platforms.aws.sealing import sealed_release
from tests.platforms.load import wait_for

_ANSWERS = 10  # that a metric of the user's is published of at a time
_OPERATIONS: Mapping[Call, tuple[str, str]] = {
    "read metrics": ("cloudwatch", "GetMetricData"),
    "read journal": ("dynamodb", "GetItem"),
    "write journal": ("dynamodb", "PutItem"),
    "read endpoint": ("sagemaker", "DescribeEndpoint"),
    "use config": ("sagemaker", "UpdateEndpoint"),
    "set weights": ("sagemaker", "UpdateEndpointWeightsAndCapacities"),
    "set approval": ("sagemaker", "UpdateModelPackage"),
    "notify": ("sns", "Publish"),
}


class AwsStage(FaultStage):
    one_more = 5

    def __init__(self, shared: Clients, name: str, cloud: Cloud, code: Path) -> None:
        self.shared = shared
        self.clients: Callable[[str], Any] = shared.make
        self.cloud, self._code = cloud, code
        self.names = Names(name, "test", ACCOUNT, REGION)
        self.releases, self.ran = {}, []
        self._faults, self._configs = list[str](), set[str]()
        self.clients("s3").create_bucket(Bucket=self.names.bucket)
        self.clients("sagemaker").create_model_package_group(ModelPackageGroupName=self.names.package_group)
        role = self.names.serving_role_arn.rpartition("/")[2]
        self.clients("iam").create_role(RoleName=role, AssumeRolePolicyDocument=trust("sagemaker"))
        journal_table(self.clients, self.names.journal)
        documents_table(self.clients, self.names.documents)
        self.topic = self._topic()
        self.inbox = Inbox(self.clients, self.names.alerts, self.topic)

    def _topic(self) -> str:
        sns = self.clients("sns")
        topic = sns.create_topic(Name=self.names.alerts)["TopicArn"]
        sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policies.alerts(self.names))
        return topic

    # What is there

    def release(self, role: str, **behaviour: Any) -> Release:
        names, sagemaker = self.names, self.clients("sagemaker")
        made = sealed_release(role, self.clients("s3"), names.bucket, _members(role, behaviour))
        container = {"Image": names.process_image, "ModelDataUrl": made.archive_uri}
        package = sagemaker.create_model_package(
            ModelPackageGroupName=names.package_group,
            ModelApprovalStatus="PendingManualApproval",
            InferenceSpecification={
                "Containers": [container],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        )["ModelPackageArn"]
        model = f"{names.prefix}-{role}"
        sagemaker.create_model(ModelName=model, ExecutionRoleArn=names.serving_role_arn, PrimaryContainer=container)
        self.releases[role] = made = replace(
            made, image_uri=names.process_image, version=package, model_name=model,
            config_name=f"{names.prefix}-solo-{role}",
        )  # fmt: skip
        self._config(made.config_name, {role: 1})
        return made

    def replace_archive(self, role: str, **behaviour: Any) -> None:
        s3, uri = self.clients("s3"), self.releases[role].archive_uri
        other = sealed_release(role, s3, self.names.bucket, _members(role, behaviour)).archive_uri
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        s3.copy_object(Bucket=bucket, Key=key, CopySource=other.removeprefix("s3://"))

    def pair(self, champion: str, challenger: str) -> str:
        return self._config(f"{self.names.prefix}-{champion}-{challenger}", {champion: 1, challenger: 0})

    def shadow(self, champion: str, challenger: str) -> str:
        return self._config(f"{self.names.prefix}-{champion}-shadow-{challenger}", {champion: 1}, {challenger: 1})

    def _config(self, name: str, weights: Mapping[str, float], shadows: Mapping[str, float] | None = None) -> str:
        if name in self._configs:
            return name
        capture = {
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": f"s3://{self.names.bucket}/capture",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        }
        more: dict[str, Any] = {"DataCaptureConfig": capture} if self.captures else {}
        if shadows:
            more["ShadowProductionVariants"] = self._variants(shadows)
        self.clients("sagemaker").create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=self._variants(weights), **more
        )
        self._configs.add(name)
        return name

    def _variants(self, weights: Mapping[str, float]) -> list[dict[str, Any]]:
        return [
            {
                "VariantName": self.releases[role].variant, "ModelName": self.releases[role].model_name,
                "InitialVariantWeight": weight, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1,
            }
            for role, weight in weights.items()
        ]  # fmt: skip

    def serve(self, role: str) -> None:
        sagemaker, release = self.clients("sagemaker"), self.releases[role]
        sagemaker.create_endpoint(EndpointName=self.names.endpoint, EndpointConfigName=release.config_name)
        wait_for(lambda: self.live().status != "changing")

    def close(self) -> None:
        self.clients("sagemaker").delete_endpoint(EndpointName=self.names.endpoint)

    def controller(self) -> Controller:
        return controller_with(self.clients, self.names.endpoint, self.names.journal, by="test", topic=self.topic)

    def live(self) -> Live:
        return SageMakerTraffic(self.clients, self.names.endpoint).read()

    def approval(self, role: str) -> Approval:
        arn = self.releases[role].version
        return self.clients("sagemaker").describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"]

    # Alarms, and what people are told

    def rolls_back_on_alarm(self) -> None:
        iam, functions, name = self.clients("iam"), self.clients("lambda"), self.names.function("rollback")
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("lambda"))["Role"]["Arn"]
        key = self.names.arn("kms", "key/artifacts")
        may = document(policies.function_logs(self.names), *policies.controller(self.names, key, key))
        iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=may)
        environment = {
            "ENDPOINT_NAME": self.names.endpoint, "JOURNAL_TABLE": self.names.journal, "ALERTS_TOPIC": self.topic
        }  # fmt: skip
        arn = functions.create_function(
            FunctionName=name, Runtime=RUNTIME, Role=role, Handler="modelstack.platforms.aws.handlers.rollback.handler",
            Code={"ZipFile": self._code.read_bytes()}, Timeout=120, Environment={"Variables": environment},
        )["FunctionArn"]  # fmt: skip
        functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        functions.add_permission(
            FunctionName=name, StatementId="called-by-sns", Action="lambda:InvokeFunction",
            Principal="sns.amazonaws.com", SourceArn=self.topic,
        )  # fmt: skip
        self.clients("sns").subscribe(TopicArn=self.topic, Protocol="lambda", Endpoint=arn)

    def alarm(self, role: str, measure: str) -> str:
        return self.names.alarm(f"v-{role}", measure)

    def declare_alarm(self, role: str, measure: str) -> None:
        place = {"EndpointName": self.names.endpoint, "VariantName": f"v-{role}"}
        dimensions = [{"Name": name, "Value": value} for name, value in place.items()]
        counts = {"part": ("Invocation5XXErrors", "Sum"), "whole": ("Invocations", "Sum")}
        if measure == "p99":
            counts = {"part": ("ModelLatency", f"TC({1000 * SLOW_MS}:)"), "whole": ("ModelLatency", "SampleCount")}
        queries: list[dict[str, Any]] = [
            {
                "Id": id_, "ReturnData": False,
                "MetricStat": {
                    "Metric": {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions},
                    "Period": 10, "Stat": stat,
                },
            }
            for id_, (metric, stat) in counts.items()
        ]  # fmt: skip
        expression = ratio(TOLERATED, alarm_thresholds.evidence(PERIODS, alpha=0.05))
        self.clients("cloudwatch").put_metric_alarm(
            AlarmName=self.alarm(role, measure), EvaluationPeriods=1, ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching", AlarmActions=[self.topic], Threshold=TOLERATED,
            Metrics=[*queries, {"Id": "rate", "Expression": expression, "ReturnData": True}],
        )  # fmt: skip

    # What the topic sent

    def told(self, kind: str, rollout_id: str) -> list[Message]:
        return self.inbox.told(kind, rollout_id)

    def fired(self, role: str, measure: str = "5xx") -> str:
        wanted = {"AlarmName": self.alarm(role, measure), "NewStateValue": "ALARM"}

        def found() -> str | None:
            return next((one.text for one in self.inbox.messages() if wanted.items() <= one.content.items()), None)

        return wait_for(found, PATIENCE, f"{wanted}")

    def fire(self, role: str, measure: str = "5xx") -> str:
        for state in ("OK", "ALARM"):
            self.clients("cloudwatch").set_alarm_state(
                AlarmName=self.alarm(role, measure), StateValue=state, StateReason="set by the test"
            )
        return self.fired(role, measure)

    def deliver(self, message: str, times: int = 1) -> list[dict[str, Any]]:
        event = json.dumps({"Records": [{"Sns": {"Message": message}}]}).encode()

        def call(_: int) -> dict[str, Any]:
            answer = self.clients("lambda").invoke(FunctionName=self.names.function("rollback"), Payload=event)
            body = json.loads(answer["Payload"].read())
            assert "FunctionError" not in answer, body
            return body["answers"][0]

        with ThreadPoolExecutor(times) as pool:
            answers = list(pool.map(call, range(times)))
        self.ran += answers
        return answers

    # Disturbances

    def fault(self, call: Call, effect: Effect, calls: int | None = None, *, seconds: float = 0) -> None:
        service, operation = _OPERATIONS[call]
        wanted: dict[str, Any] = {"service": service, "operation": operation, "effect": effect}
        wanted["containing"] = self.names.prefix
        if calls is not None:
            wanted["calls"] = calls
        if seconds:
            wanted["milliseconds"] = 1000 * seconds
        self._faults.append(self.cloud.faults("POST", wanted)["id"])

    def lose_journal(self, older: RolloutState | None = None, *, copy: bool = False) -> None:
        journal, endpoint = self._journal(), self.names.endpoint
        places = [(self.names.journal, "endpoint", endpoint, journal.primary)]
        places += [(self.names.documents, "id", f"journal#{endpoint}", journal.copy)] if copy else []
        for table, key, name, store in places:
            self.clients("dynamodb").delete_item(TableName=table, Key={key: {"S": name}})
            if older:
                store.put(older)

    def end_faults(self) -> None:
        for name in self._faults:
            with suppress(ProcessError):  # it is used up
                self.cloud.faults("DELETE", query=f"?id={name}")
        self._faults.clear()

    def become(self, role: str, **behaviour: Any) -> None:
        self.clients("sagemaker-runtime").invoke_endpoint(
            EndpointName=self.names.endpoint, ContentType="application/json", TargetVariant=f"v-{role}",
            Body=json.dumps({"become": behaviour}).encode(),
        )  # fmt: skip

    def impatient(self, read_timeout: float) -> None:
        session = boto3.Session(region_name=REGION)
        settings = Config(retries={"mode": "standard", "total_max_attempts": 2}, read_timeout=read_timeout)

        @lru_cache
        def client(service: Any) -> Any:
            return session.client(service, config=settings)

        self.clients = client

    @contextmanager
    def scaling(self, role: str) -> Generator[None]:
        self.clients("sagemaker").update_endpoint_weights_and_capacities(
            EndpointName=self.names.endpoint,
            DesiredWeightsAndCapacities=[{"VariantName": f"v-{role}", "DesiredInstanceCount": 2}],
        )
        yield
        assert self.live().status == "changing"

    def breaks_archive(self, role: str) -> None:
        self.replace_archive(role, start="raise")

    def killed(self, asked: Killed) -> tuple[list[int], int]:
        names = self.names
        where = {"region": REGION, "endpoint": names.endpoint, "table": names.journal, "topic": self.topic}
        return mortal.run("tests.conformance.mortal_aws", where, self, asked)

    # What goes on beside a trial

    def labels(self, label: bool | None) -> AbstractContextManager[None]:
        return beside(lambda stop: self._label(label, stop))

    def publishes(self, namespace: str, metric: str, rates: Mapping[str, float]) -> AbstractContextManager[None]:
        return beside(lambda stop: self._publish(namespace, metric, rates, stop))

    def _publish(self, namespace: str, metric: str, rates: Mapping[str, float], stop: threading.Event) -> None:
        while not stop.wait(0.5):
            place = {"EndpointName": self.names.endpoint, "RolloutId": self.state().rollout_id}
            data = [
                {
                    "MetricName": metric, "StorageResolution": 1,  # as the windows are shorter than a minute
                    "Values": [1.0, 0.0], "Counts": [_ANSWERS * rate, _ANSWERS * (1 - rate)],
                    "Dimensions": [
                        {"Name": name, "Value": value} for name, value in (place | {"VariantName": f"v-{role}"}).items()
                    ],
                }
                for role, rate in rates.items()
            ]  # fmt: skip
            self.clients("cloudwatch").put_metric_data(Namespace=namespace, MetricData=data)

    def _label(self, label: bool | None, stop: threading.Event) -> None:
        documents = DynamoDocuments(self.clients, self.names.documents)
        files, seen = S3Files(self.clients, self.names.bucket), set[str]()
        metrics = CloudWatchMetrics(self.clients("cloudwatch"), self.names.endpoint)
        waiting: list[tuple[float, str]] = []
        while not stop.wait(0.5):
            state = self.state()
            labels = Labels(documents, metrics, files, Promises(state, lambda *_: json.dumps(DECLARED).encode()))
            for release in state.releases():
                for key in set(self._captured(release.variant)) - seen:
                    seen.add(key)
                    with files.read(key) as file:
                        lines = list(file.lines)
                        labels.take_answers(release.variant, key, file.written, lines)
                    names = [json.loads(line)["eventMetadata"]["inferenceId"] for line in lines]
                    waiting += [(time.time() + LABEL_LATE, name) for name in names]
            due, waiting = (
                [name for at, name in waiting if at <= time.time()],
                [item for item in waiting if item[0] > time.time()],
            )
            if due and label is not None:
                lines = [json.dumps({"inference_id": name, "label": label}).encode() for name in due]
                labels.take_labels(f"labels/{due[0]}.jsonl", due[0], lines)

    def _captured(self, variant: str) -> list[str]:
        prefix = f"capture/{self.names.endpoint}/{variant}/"
        listed = self.clients("s3").list_objects_v2(Bucket=self.names.bucket, Prefix=prefix)
        return [item["Key"] for item in listed.get("Contents", [])]

    def captured(self) -> None:
        wait_for(lambda: self._captured("v-champion"), PATIENCE, "captures")

    def timed(self, role: str) -> int:
        counters, now = CloudWatchCounters(self.clients, self.names.endpoint), time.time()
        seen = counters.quantile(f"v-{role}", 0.99, now - 3600, now)
        return seen.requests if seen else 0

    def load(self, *, target: str | None = None, rate: float = 10, workers: int = 2) -> EndpointLoad:
        return EndpointLoad(self.shared.asking, self.names.endpoint, rate, target, workers)

    def state(self) -> RolloutState:
        return self._journal().primary.read()

    def _journal(self) -> CopiedJournal:
        return copied_journal(self.clients, self.names.journal, self.names.endpoint)


def _members(role: str, behaviour: Mapping[str, Any]) -> dict[str, Any]:
    return {"behaviour.json": {"name": f"v-{role}", "answer": PREDICTION, **behaviour}, FORM: DECLARED}
