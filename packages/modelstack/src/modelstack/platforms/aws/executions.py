"""Executions of a stack's pipeline: started once, observed step by step, stopped, and their outcomes in the bucket.

A name belongs to one attempt: while it is under way, it is not started again, whoever requests it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelstack.platforms.aws.blobs import S3Blobs
from modelstack.platforms.aws.clients import Clients, calling
from modelstack.platforms.aws.names import NOTHING, REFUSED, SETTINGS
from modelstack.platforms.aws.pages import pages
from modelstack.platforms.s3.errors import code_of
from modelstack.rollout.core.errors import RolloutError

UNDER_WAY = ("Executing", "Stopping")
LONGEST_VALUE = 1024
"""Maximum characters of a parameter's value in SageMaker."""
_LOGS = {"training-job": "/aws/sagemaker/TrainingJobs", "processing-job": "/aws/sagemaker/ProcessingJobs"}
"""The log group of a kind of job, by its name in an ARN."""
_NOT_THERE = {"ResourceNotFound", "ResourceNotFoundException"}
_ENDED = {*_NOT_THERE, "ConflictException", "ValidationException"}
"""SageMaker's codes for an execution that cannot be stopped any more."""


@dataclass(frozen=True)
class ExecutionRequest:
    """A desired execution.

    Attributes:
        folder: `s3://bucket/key`, below which the pipeline writes.
        name: Letters, digits and hyphens, at most 82.
        folders: Input -> `s3://bucket/key`; empty for one that is not given.
        takes: The parameters of the pipeline; other texts go into the file of settings.
        says: Its description for people.
    """

    pipeline: str
    folder: str
    name: str
    folders: Mapping[str, str]
    texts: Mapping[str, str]
    takes: Sequence[str]
    says: str = ""


@dataclass(frozen=True)
class StepSeen:
    """One step of an execution; texts are empty, and times None, if they do not apply.

    `job` and `cached` are ARNs, of its job and of the execution whose outcome is reused.
    """

    name: str
    status: str
    why: str = ""
    job: str = ""
    cached: str = ""
    began: datetime | None = None
    ended: datetime | None = None


@dataclass(frozen=True)
class ExecutionStatus:
    """The status of an execution, with its started steps in order."""

    arn: str
    status: str
    why: str = ""
    steps: tuple[StepSeen, ...] = field(default=())

    @property
    def under_way(self) -> bool:
        """Whether it has not ended."""
        return self.status in UNDER_WAY

    def step(self, name: str) -> StepSeen | None:
        """The step of a name; None if it has not started."""
        return next((step for step in self.steps if step.name == name), None)

    @property
    def failed(self) -> StepSeen | None:
        """The first failed step."""
        return next((step for step in self.steps if step.status == "Failed"), None)


def begin(clients: Clients, asked: ExecutionRequest) -> str:
    """Start an execution, or find the one of that name that is under way; returns its ARN."""
    parameters = {**asked.folders, **{name: text for name, text in asked.texts.items() if name in asked.takes}}
    for name, text in parameters.items():
        if len(text) > LONGEST_VALUE:
            raise RolloutError(
                f"{name} takes {len(text):,} characters: SageMaker takes at most {LONGEST_VALUE:,} in a parameter of a "
                "pipeline. Make it shorter, or train with the local engine"
            )
    known = _called(clients, asked.pipeline, asked.name)
    if under_way := next((one for one in known if one["PipelineExecutionStatus"] in UNDER_WAY), None):
        return under_way["PipelineExecutionArn"]
    parameters = {
        name: text or _empty(clients, asked.folder) if name in asked.folders else text
        for name, text in parameters.items()
    }
    if SETTINGS in asked.takes:
        parameters[SETTINGS] = _put(clients, asked.folder, asked.texts)
    with calling(f"begin execution {asked.name}"):
        answer = clients("sagemaker").start_pipeline_execution(
            PipelineName=asked.pipeline,
            PipelineExecutionDisplayName=asked.name,
            PipelineExecutionDescription=asked.says,
            PipelineParameters=[{"Name": name, "Value": text} for name, text in sorted(parameters.items())],
            ClientRequestToken=_token(asked.name, known),
        )
    return answer["PipelineExecutionArn"]


def find(clients: Clients, pipeline: str, name: str, statuses: Sequence[str] = ()) -> str | None:
    """The ARN of the newest execution of a name (in one of `statuses`); None without one, or without a pipeline."""
    for one in _called(clients, pipeline, name):
        if not statuses or one["PipelineExecutionStatus"] in statuses:
            return one["PipelineExecutionArn"]
    return None


def look(clients: Clients, arn: str) -> ExecutionStatus:
    """The current status of an execution."""
    sagemaker, steps = clients("sagemaker"), list[StepSeen]()
    with calling(f"read execution {short(arn)}"):
        found = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        for page in pages(sagemaker.list_pipeline_execution_steps, PipelineExecutionArn=arn, SortOrder="Ascending"):
            steps += [_seen(one) for one in page["PipelineExecutionSteps"]]
    return ExecutionStatus(arn, found["PipelineExecutionStatus"], found.get("FailureReason", ""), tuple(steps))


def stop(clients: Clients, arn: str) -> None:
    """Stop an execution and its job, unless it has ended."""
    try:
        with calling(f"stop execution {short(arn)}"):
            clients("sagemaker").stop_pipeline_execution(PipelineExecutionArn=arn)
    except RolloutError as error:
        if code_of(error.__cause__) not in _ENDED:
            raise


def last_lines(clients: Clients, step: StepSeen, most: int = 10) -> list[str]:
    """The last lines of the log of a step's job; none if there is no log, or it cannot be read."""
    kind, _, job = step.job.rpartition(":")[2].partition("/")
    group = _LOGS.get(kind)
    if group is None:
        return []
    logs = clients("logs")
    try:
        with calling(f"read the log of {job}"):
            streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]
            found: list[dict[str, Any]] = []
            for stream in streams:
                name = stream["logStreamName"]
                found += logs.get_log_events(logGroupName=group, logStreamName=name, limit=most)["events"]
    except RolloutError:  # it tells more, and decides nothing
        return []
    newest = sorted(found, key=lambda event: event["timestamp"])[-most:]
    return [line for event in newest for line in event["message"].rstrip().splitlines()][-most:]


@dataclass(frozen=True)
class Refusal:
    """Why the job of a step refused; `spoiled` if for an earlier job's output, so that no step has run."""

    step: str
    why: str
    spoiled: bool = False


def refusal(clients: Clients, folder: str, step: StepSeen) -> Refusal | None:
    """Why the job of a step refused; None if it did not, or if the step has no job."""
    said = read(clients, f"{folder}/{REFUSED}/{short(step.job)}.json") if step.job else None
    return None if said is None else Refusal(said["step"], said["why"], said.get("spoiled", False))


def failure(clients: Clients, folder: str, step: StepSeen) -> str:
    """Why a step of the pipeline failed in the job of a step, with its last lines; empty if the job does not say."""
    said = read(clients, f"{folder}/{REFUSED}/{short(step.job)}.failed.json") if step.job else None
    return said["why"] if said else ""


def gone(clients: Clients, folder: str, seen: ExecutionStatus) -> str:
    """The URI of a reused outcome of an earlier execution that no longer exists; empty if all exist.

    SageMaker does not check that they exist, and cannot start the job that takes one.
    """
    for step in seen.steps:
        if not (step.cached and step.job):
            continue
        uri = f"{folder}/{short(step.cached)}/{step.name}/"
        if ":training-job/" in step.job:
            with calling(f"read job {short(step.job)}"):
                job = clients("sagemaker").describe_training_job(TrainingJobName=short(step.job))
            uri = job["ModelArtifacts"]["S3ModelArtifacts"]
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        with calling(f"list {uri}"):
            found = clients("s3").list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
        if not found.get("KeyCount"):
            return uri
    return ""


def outcome(clients: Clients, folder: str, seen: ExecutionStatus, group: str, file: str) -> Any:
    """A JSON file in the output of a processing job; None if there is none.

    `group` is the step of the definition, `file` is `<step of the pipeline>/<name>`.
    """
    step = seen.step(group)
    made_by = step.cached if step and step.cached else seen.arn
    return read(clients, f"{folder}/{short(made_by)}/{group}/{file}")


def read(clients: Clients, uri: str) -> Any:
    """A JSON object of the bucket; None if there is none."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    with suppress(FileNotFoundError):
        return json.loads(b"".join(S3Blobs(clients, bucket).get(key)))
    return None


def short(arn: str) -> str:
    """The id of an execution or the name of a job, the last part of its ARN."""
    return arn.rpartition("/")[2]


def _called(clients: Clients, pipeline: str, name: str) -> list[dict[str, Any]]:
    """The executions of a name, the newest first; none of a pipeline that does not exist."""
    operation = clients("sagemaker").list_pipeline_executions
    try:
        with calling(f"list the executions of {pipeline}"):
            listed = list(pages(operation, PipelineName=pipeline, SortBy="CreationTime", SortOrder="Descending"))
    except RolloutError as error:
        if code_of(error.__cause__) in _NOT_THERE:
            return []
        raise
    found = (one for page in listed for one in page["PipelineExecutionSummaries"])
    return [one for one in found if one.get("PipelineExecutionDisplayName") == name]


def _token(name: str, known: Sequence[Mapping[str, Any]]) -> str:
    """A token of the attempt: SageMaker answers concurrent starts with the same execution."""
    last = known[0]["PipelineExecutionArn"] if known else ""
    return hashlib.sha256(f"{name} after {last}".encode()).hexdigest()


def _seen(step: Mapping[str, Any]) -> StepSeen:
    found = [one["Arn"] for one in (step.get("Metadata") or {}).values() if isinstance(one, Mapping) and "Arn" in one]
    return StepSeen(
        step["StepName"],
        step["StepStatus"],
        step.get("FailureReason", ""),
        found[0] if found else "",
        (step.get("CacheHitResult") or {}).get("SourcePipelineExecutionArn", ""),
        step.get("StartTime"),
        step.get("EndTime"),
    )


def _put(clients: Clients, folder: str, texts: Mapping[str, str]) -> str:
    """Store the texts in a file at a URI that depends on them."""
    content = json.dumps(dict(texts), sort_keys=True, separators=(",", ":")).encode()
    return put(clients, f"{folder}/{SETTINGS}/{hashlib.sha256(content).hexdigest()}/settings.json", content)


def _empty(clients: Clients, folder: str) -> str:
    """The URI of an empty folder: SageMaker requires an object for each input."""
    uri = f"{folder}/{NOTHING}"
    put(clients, f"{uri}/{NOTHING}", b"")
    return uri


def put(clients: Clients, uri: str, content: bytes) -> str:
    """Put an object; returns its URI."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    with calling(f"put {uri}"):
        clients("s3").put_object(Bucket=bucket, Key=key, Body=content)
    return uri


def name_of(recipe: str) -> str:
    """The name of the executions that build a recipe."""
    return f"recipe-{re.sub('[^0-9a-f]', '', recipe)[:12]}"
