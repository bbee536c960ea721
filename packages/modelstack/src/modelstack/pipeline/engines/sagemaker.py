"""Compiler of the pipeline to SageMaker Pipelines: the definition's JSON, the same bytes each time.

A job takes minutes to start, so the steps of a group share one, in which they run one after the other
(`modelstack.platforms.aws.jobs.group`); outcomes pass to the next job through the bucket. The first group is a training
job, because SageMaker's model lineage and model card start from one. All others are processing jobs. A group that waits
for a verdict (`only_if`) becomes a condition on its file: if it did not pass, the execution fails and no further job
starts.

The texts that the first job takes are pipeline parameters and become hyperparameters. They determine its outcome, so
SageMaker's step cache identifies a job by them and by the code's address, which contains the code's digest. Arguments
of a processing job are limited to 256 characters, so the texts of all others are in one file, `settings`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from modelstack.pipeline.steps import VERDICT, Input, Pipeline, PipelineError, Resources, Step

VERSION = "2020-12-01"
CODE, CHAMPION, SETTINGS = "code", "champion", "settings"
OUTCOMES = "outcomes"
"""The name of a job's outputs, and of the training job's channel in later jobs."""
ENTRYPOINT = ("python", "-m", "modelstack.platforms.aws.jobs.group")
"""The program of a job; its arguments are the group, and where it writes why it refuses."""
INPUT, OUTPUT = "/opt/ml/processing/input", "/opt/ml/processing/output"
"""Where a processing job finds its inputs, by name, and puts the outcomes of its steps."""
EXECUTION = "MODELSTACK_EXECUTION"
"""The variable with the execution's ARN. Cached jobs do not get it, as the cache would never hit."""
MOST_SECONDS = {"Training": 28 * 86_400, "Processing": 5 * 86_400}
"""Maximum duration of a job by its kind."""
KEPT_DAYS = 30
"""How long a successful job may be reused for the same inputs."""
_FAULTS = (
    ("Step.SERVICE_FAULT", "Step.THROTTLING"),
    ("SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR", "SageMaker.RESOURCE_LIMIT"),
)
"""Service faults, after which a job is retried. A refusal or failure of a step would only repeat."""
_WAIT_SECONDS, _BACKOFF, _MOST_ATTEMPTS = 10, 2.0, 3
Json = dict[str, Any]


@dataclass(frozen=True)
class SageMakerSite:
    """Where the jobs of a stack run.

    Attributes:
        folder: `s3://bucket/key` below which jobs write their outcomes; `refusals` is the same for their refusals.
        roles: Group -> role ARN of its job; `instance_types` likewise, by default those of its steps.
        max_seconds: Upper limit per job; None: as long as its steps.
    """

    image: str
    folder: str
    refusals: str
    roles: Mapping[str, str]
    instance_types: Mapping[str, str] = field(default_factory=dict[str, str])
    max_seconds: int | None = None


@dataclass(frozen=True)
class Group:
    """Steps that share a job, which is a step of the group's name in the definition.

    Attributes:
        groups: The groups whose outcomes it takes.
        folders: The folders from outside that it takes, without `raw_data`: the image holds it.
        only_if: The step of another group whose verdict it waits for.
    """

    name: str
    steps: tuple[Step, ...]
    kind: str
    groups: tuple[str, ...]
    folders: tuple[str, ...]
    texts: tuple[Input, ...]
    only_if: str | None

    @property
    def resources(self) -> Resources:
        """The largest resources of its steps, which run one after the other."""
        return max((step.resources for step in self.steps), key=lambda one: (one.memory_gb, one.cpus))

    @property
    def seconds(self) -> int:
        """The total timeout of its steps with their retries."""
        return sum(step.timeout * (1 + step.retries) for step in self.steps)

    @property
    def cached(self) -> bool:
        """Whether none of its steps changes anything outside."""
        return all(step.cached for step in self.steps)


def definition(pipeline: Pipeline, site: SageMakerSite) -> str:
    """The definition of the pipeline; raises PipelineError with every reason why SageMaker jobs cannot run it."""
    found = groups(pipeline)
    return json.dumps(
        {
            "Version": VERSION,
            "Metadata": {},
            "Parameters": [_parameter(name, text) for name, text in parameters(pipeline).items()],
            "PipelineExperimentConfig": None,
            "MlflowConfig": None,
            "Steps": _chain(found, {one.name: one for one in found}, site),
        },
        separators=(",", ":"),
    )


def parameters(pipeline: Pipeline) -> dict[str, str | None]:
    """The parameters of an execution: input -> default, None if it must be given."""
    found = groups(pipeline)
    folders = dict.fromkeys(name for one in found for name in one.folders)
    texts = {text.name: text.default for one in found if one.kind == "Training" for text in one.texts}
    settings = any(one.kind == "Processing" and one.texts for one in found)
    return {**folders, **texts, **({SETTINGS: None} if settings else {})}


def groups(pipeline: Pipeline) -> tuple[Group, ...]:
    """The jobs in order; raises PipelineError if groups take from each other, or one waits for different verdicts."""
    ordered, problems = pipeline.order(), list[str]()
    names = list(dict.fromkeys(step.group for step in ordered))
    found: list[Group] = []
    for name in names:
        steps = tuple(step for step in ordered if step.group == name)
        own = {step.name for step in steps}
        taken = [pipeline.step(other) for step in steps for other in pipeline.steps_of(step) if other not in own]
        of_groups = tuple(dict.fromkeys(step.group for step in taken))
        problems += [
            f"group {name}: takes from group {other}, which comes later"
            for other in of_groups
            if names.index(other) > names.index(name)
        ]
        waits = {step.only_if for step in steps if step.only_if not in own}
        if len(waits) > 1:
            said = ", ".join(sorted(str(one) for one in waits))
            problems.append(f"group {name}: its steps wait for different verdicts ({said}); expected one for all")
        texts = {text.name: text for step in steps for text in pipeline.texts_of(step)}
        folders = dict.fromkeys(folder for step in steps for folder in pipeline.folders_of(step))
        found.append(
            Group(
                name,
                steps,
                "Processing" if found else "Training",
                groups=of_groups,
                folders=tuple(one for one in folders if one in {CODE, CHAMPION}),
                texts=tuple(texts.values()),
                only_if=next(iter(waits), None),
            )
        )
    if problems:
        raise PipelineError(problems)
    return tuple(found)


def _chain(left: Sequence[Group], every: Mapping[str, Group], site: SageMakerSite) -> list[Json]:
    """The definition's steps. The first group that waits for a verdict is nested in its condition, with the rest."""
    steps: list[Json] = []
    for at, group in enumerate(left):
        if group.only_if is None:
            steps.append(_job(group, every, site))
            continue
        gives = next(one for one in every.values() if group.only_if in {step.name for step in one.steps})
        inside = [replace(one, only_if=None) if one.only_if == group.only_if else one for one in left[at:]]
        return [*steps, _condition(group.only_if, gives, _chain(inside, every, site))]
    return steps


def _parameter(name: str, default: str | None) -> Json:
    return {"Name": name, "Type": "String", **({} if default is None else {"DefaultValue": default})}


def _job(group: Group, every: Mapping[str, Group], site: SageMakerSite) -> Json:
    retries = {"IntervalSeconds": _WAIT_SECONDS, "BackoffRate": _BACKOFF, "MaxAttempts": _MOST_ATTEMPTS}
    arguments = _training(group, site) if group.kind == "Training" else _processing(group, every, site)
    step: Json = {
        "Name": group.name,
        "Type": group.kind,
        "Description": ", ".join(one.name for one in group.steps),
        "Arguments": arguments,
        "RetryPolicies": [{"ExceptionType": list(faults), **retries} for faults in _FAULTS],
    }
    if group.cached:
        step["CacheConfig"] = {"Enabled": True, "ExpireAfter": f"P{KEPT_DAYS}D"}
    if verdicts := _verdicts(group, every):
        step["PropertyFiles"] = [
            {"PropertyFileName": name, "OutputName": OUTCOMES, "FilePath": f"{name}/{VERDICT}"} for name in verdicts
        ]
    return step


def _training(group: Group, site: SageMakerSite) -> Json:
    return {
        **_told_execution(group),
        "AlgorithmSpecification": {
            "TrainingImage": site.image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": list(ENTRYPOINT),
            "ContainerArguments": [group.name, site.refusals],
        },
        "RoleArn": site.roles[group.name],
        "HyperParameters": {text.name: {"Get": f"Parameters.{text.name}"} for text in group.texts},
        "InputDataConfig": [
            {"ChannelName": name, "DataSource": {"S3DataSource": _prefix({"Get": f"Parameters.{name}"})}}
            for name in group.folders
        ],
        "OutputDataConfig": {"S3OutputPath": site.folder},
        "ResourceConfig": _cluster(group, site),
        "StoppingCondition": {"MaxRuntimeInSeconds": _seconds(group, site)},
    }


def _processing(group: Group, every: Mapping[str, Group], site: SageMakerSite) -> Json:
    taken = {name: {"Get": f"Parameters.{name}"} for name in group.folders}
    taken |= {name: {"Get": _outcomes_of(every[name])} for name in group.groups}
    taken |= {SETTINGS: {"Get": f"Parameters.{SETTINGS}"}} if group.texts else {}
    folder = {"Std:Join": {"On": "/", "Values": [site.folder, {"Get": "Execution.PipelineExecutionId"}, group.name]}}
    output = {"S3Uri": folder, "LocalPath": OUTPUT, "S3UploadMode": "EndOfJob"}
    return {
        **_told_execution(group),
        "AppSpecification": {
            "ImageUri": site.image,
            "ContainerEntrypoint": list(ENTRYPOINT),
            "ContainerArguments": [group.name, site.refusals],
        },
        "RoleArn": site.roles[group.name],
        "ProcessingInputs": [
            {
                "InputName": name,
                "S3Input": {
                    "S3Uri": uri,
                    "LocalPath": f"{INPUT}/{name}",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                    "S3DataDistributionType": "FullyReplicated",
                    "S3CompressionType": "None",
                },
            }
            for name, uri in taken.items()
        ],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": OUTCOMES, "S3Output": output}]},
        "ProcessingResources": {"ClusterConfig": _cluster(group, site)},
        "StoppingCondition": {"MaxRuntimeInSeconds": _seconds(group, site)},
    }


def _condition(step: str, of: Group, inside: list[Json]) -> Json:
    """The condition on a verdict, and the failure of the execution if it did not pass."""
    passed = {"PropertyFile": {"Get": f"Steps.{of.name}.PropertyFiles.{step}"}, "Path": "passed"}
    said = [f"refused by the step {step}, the reason is in ", {"Get": _outcomes_of(of)}, f"/{step}/{VERDICT}"]
    return {
        "Name": f"{step}-passed",
        "Type": "Condition",
        "Arguments": {
            "Conditions": [{"Type": "Equals", "LeftValue": {"Std:JsonGet": passed}, "RightValue": True}],
            "IfSteps": inside,
            "ElseSteps": [
                {
                    "Name": f"{step}-refused",
                    "Type": "Fail",
                    "Arguments": {"ErrorMessage": {"Std:Join": {"On": "", "Values": said}}},
                }
            ],
        },
    }


def _verdicts(group: Group, every: Mapping[str, Group]) -> list[str]:
    """The steps of a group whose verdicts another group waits for."""
    own = {step.name for step in group.steps}
    return [step for step in dict.fromkeys(one.only_if for one in every.values()) if step in own]


def _outcomes_of(group: Group) -> str:
    """The property of a job's step with the address of its outcomes."""
    if group.kind == "Training":
        return f"Steps.{group.name}.ModelArtifacts.S3ModelArtifacts"
    return f"Steps.{group.name}.ProcessingOutputConfig.Outputs['{OUTCOMES}'].S3Output.S3Uri"


def _told_execution(group: Group) -> Json:
    return {} if group.cached else {"Environment": {EXECUTION: {"Get": "Execution.PipelineExecutionArn"}}}


def _cluster(group: Group, site: SageMakerSite) -> Json:
    resources = group.resources
    kind = site.instance_types.get(group.name, resources.instance_type)
    return {"InstanceType": kind, "InstanceCount": 1, "VolumeSizeInGB": resources.volume_gb}


def _seconds(group: Group, site: SageMakerSite) -> int:
    return min(group.seconds, MOST_SECONDS[group.kind], site.max_seconds or group.seconds)


def _prefix(uri: Json) -> Json:
    return {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
