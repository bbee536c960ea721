"""The retraining record in DynamoDB, training jobs of SageMaker, and the observations of an endpoint on AWS.

A stack with its own pipeline trains by its executions instead, see `modelstack.platforms.aws.retraining_executions`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

from modelstack.monitoring.retraining.decision import JobSeen, RetrainingObservation, Start
from modelstack.monitoring.retraining.record import Kind, RetrainingRecord, Trigger
from modelstack.monitoring.retraining.rules import JobSettings
from modelstack.platforms.aws.alarm_events import reason
from modelstack.platforms.aws.blobs import S3Blobs
from modelstack.platforms.aws.clients import Clients, calling
from modelstack.platforms.aws.names import RETRAINING
from modelstack.platforms.aws.revisions import Revisions
from modelstack.platforms.s3.errors import code_of
from modelstack.rollout.controller.ports import Journal
from modelstack.rollout.core.errors import Conflict, RolloutError
from modelstack.rollout.core.release import Release

VOLUME_GB = 30
_LONGEST_WHY = 300
_GONE = {"ResourceNotFound", "ValidationException"}
"""SageMaker's codes for a job that does not exist, or is not running; the name is valid."""
_ENDED = {"MaxRuntimeExceeded": "it ran longer than max_minutes", "Failed": "it failed"}
"""Why a job without a FailureReason ended, by its SecondaryStatus."""
_MEASURES: tuple[Kind, ...] = ("drift", "concept")


def key(endpoint: str) -> str:
    """The key of the record in the journal's table."""
    return f"{endpoint}#retraining"


@dataclass(frozen=True)
class DynamoBook:
    """`Book` in the table of the rollout journal, with a condition on the revision."""

    clients: Clients
    table: str
    endpoint: str

    def read(self) -> RetrainingRecord:
        """The record, by a consistent read; an empty one without an item or a table. `ValueError` if it is none."""
        item = self._item.read()
        return RetrainingRecord.from_json(item["record"]["S"]) if item else RetrainingRecord()

    def write(self, record: RetrainingRecord) -> RetrainingRecord | None:
        """Write the successor of the revision that was read, unless another one is stored."""
        after = replace(record, revision=record.revision + 1)
        try:
            self._item.write({"record": {"S": after.to_json()}}, after.revision)
        except Conflict:
            return None
        return after

    @property
    def _item(self) -> Revisions:
        return Revisions(self.clients, self.table, key(self.endpoint), "the record of retraining in")


class Trainer(Protocol):
    """Trains versions. Methods raise `RolloutError` if SageMaker or the bucket does not answer."""

    def create(self, start: Start) -> None:
        """Create a job, unless there is one of that name."""

    def stop(self, job: str) -> None:
        """Stop a job, unless it has ended or is stopping."""

    def seen(self, record: RetrainingRecord) -> JobSeen:
        """The state of the record's job."""


@dataclass(frozen=True)
class AwsWorld:
    """`World` on AWS; `day_of` gives the newest day of a variant's requests, `YYYY-MM-DD`."""

    clients: Clients
    journal: Journal
    endpoint: str
    trainer: Trainer
    day_of: Callable[[str], str]

    def look(self, record: RetrainingRecord) -> RetrainingObservation:
        """See `World`: the journal, the champion's alarms, and the job."""
        state = self.journal.read()
        champion = state.champion
        return RetrainingObservation(
            now=time.time(),
            day=self.day_of(champion.variant if champion else ""),
            champion=champion,
            on_trial=state.challenger.id if state.challenger else "",
            firing=self._firing(champion) if champion else (),
            job=self.trainer.seen(record) if record.job else None,
        )

    def create(self, start: Start) -> None:
        self.trainer.create(start)

    def stop(self, job: str) -> None:
        self.trainer.stop(job)

    def _firing(self, champion: Release) -> tuple[Trigger, ...]:
        names: dict[str, Kind] = {f"{self.endpoint}-{champion.variant}-{one}": one for one in _MEASURES}
        with calling("read the champion's alarms"):
            answer = self.clients("cloudwatch").describe_alarms(AlarmNames=list(names))
        found = {item["AlarmName"]: item for item in answer["MetricAlarms"] if item["StateValue"] == "ALARM"}
        return tuple(
            _trigger(measure, found[name], champion.variant) for name, measure in names.items() if name in found
        )


@dataclass(frozen=True)
class TrainingJobs:
    """`Trainer` of training jobs, each by itself."""

    clients: Clients
    settings: JobSettings

    def create(self, start: Start) -> None:
        settings, champion = self.settings, start.champion
        source = {"S3DataType": "S3Prefix", "S3Uri": champion.archive_uri, "S3DataDistributionType": "FullyReplicated"}
        try:
            with calling(f"create training job {start.job}"):
                self.clients("sagemaker").create_training_job(
                    TrainingJobName=start.job,
                    AlgorithmSpecification={"TrainingImage": settings.image, "TrainingInputMode": "File"},
                    RoleArn=settings.role,
                    InputDataConfig=[
                        {
                            "ChannelName": "champion",
                            "ContentType": "application/gzip",
                            "DataSource": {"S3DataSource": source},
                        }
                    ],
                    HyperParameters=hyperparameters(start, settings),
                    OutputDataConfig={"S3OutputPath": f"s3://{settings.bucket}/{RETRAINING}/"},
                    ResourceConfig={
                        "InstanceType": settings.instance_type,
                        "InstanceCount": 1,
                        "VolumeSizeInGB": VOLUME_GB,
                    },
                    StoppingCondition={"MaxRuntimeInSeconds": settings.max_seconds},
                )
        except RolloutError as error:
            if code_of(error.__cause__) != "ResourceInUse":
                raise

    def stop(self, job: str) -> None:
        try:
            with calling(f"stop training job {job}"):
                self.clients("sagemaker").stop_training_job(TrainingJobName=job)
        except RolloutError as error:
            if code_of(error.__cause__) not in _GONE:
                raise

    def seen(self, record: RetrainingRecord) -> JobSeen:
        name = record.job
        try:
            with calling(f"read training job {name}"):
                job = self.clients("sagemaker").describe_training_job(TrainingJobName=name)
        except RolloutError as error:
            if code_of(error.__cause__) in _GONE:
                return JobSeen("missing")
            raise
        status = job["TrainingJobStatus"]
        if status in {"InProgress", "Stopping"}:
            return JobSeen("running")
        if status == "Completed":
            return JobSeen("completed", report=self._report(name))
        return JobSeen("failed", job.get("FailureReason") or _ENDED.get(job.get("SecondaryStatus"), "it was stopped"))

    def _report(self, job: str) -> Mapping[str, Any] | None:
        with suppress(FileNotFoundError):
            return json.loads(b"".join(S3Blobs(self.clients, self.settings.bucket).get(report_key(job))))
        return None


def report_key(job: str) -> str:
    """The key of a job's report."""
    return f"{RETRAINING}/{job}/report.json"


def hyperparameters(start: Start, settings: JobSettings) -> dict[str, str]:
    """The input of the job's program; each value is text, of at most 2,500 characters."""
    return {
        "through": start.through,
        "champion": json.dumps(start.champion.as_dict(), sort_keys=True),
        "gates": json.dumps(settings.gates, sort_keys=True),
        "bucket": settings.bucket,
        "group": settings.group,
        "region": settings.region,
        "signing_key": settings.signing_key,
        "report": report_key(start.job),
        "min_gain": str(settings.min_gain),
    }


def _trigger(measure: Kind, alarm: Mapping[str, Any], variant: str) -> Trigger:
    """The trigger of a firing alarm, with its evidence, or with its reason if it was set by hand."""
    found, name = reason(alarm), alarm["AlarmName"]
    if found.value is None:
        return Trigger(measure, found.text[:_LONGEST_WHY], name, variant)
    return Trigger(measure, alarm=name, variant=variant, numbers={"evidence": found.value})
