"""Which entities of a lineage does SageMaker make by itself, of what it was told?

Pure: the facts come in, the entities and what is associated come out. `localcloud.sagemaker.lineage_told` keeps them.

    image, data ─ContributedTo─> job ─Produced─> model or data
    image, model ─ContributedTo─> package <─ContributedTo─ approval
                                  package ─AssociatedWith─> group
    image, model, package ─ContributedTo─> deployment ─AssociatedWith─> endpoint

Sources: Amazon SageMaker Developer Guide, "Amazon SageMaker AI-Created Tracking Entities", for which there are;
`sagemaker.core.lineage` of AWS's SDK with its integration tests, for their types, their sources and the names that end
in `-aws-training-job`, `-aws-processing-job` and `-aws-model-package`. Not documented, and ours: the names that end in
`-aws-model-package-group`, `-aws-endpoint` and `-aws-model-deployment`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from localcloud.sagemaker.deployment import Deployment
from localcloud.sagemaker.errors import shortened
from localcloud.sagemaker.job_kinds import PROCESSING, TRAINING
from localcloud.sagemaker.job_news import JobFacts
from localcloud.sagemaker.models import model_data_url
from localcloud.sagemaker.store import Document

_JOBS = {TRAINING.stored: "SageMakerTrainingJob", PROCESSING.stored: "SageMakerProcessingJob"}
_LONGEST_NAME, _LONGEST_URI, _LONGEST_TEXT, _LONGEST_KEY = 120, 2048, 2500, 128
_MOST = {"Parameters": 300, "InputArtifacts": 60, "OutputArtifacts": 60}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)  # without the `_` that Python takes
_MEDIA_TYPE = re.compile(r"(?=.{1,64}$)[-\w]+/[-\w+]+")
_MODEL = "SageMaker.ModelArtifact"
_RESOURCES = ("InstanceType", "InstanceCount", "VolumeSizeInGB")


@dataclass(frozen=True)
class Artifact:
    """Something at a URI; there is one of each URI.

    Attributes:
        uri: Where it is.
        type: `DataSet`, `Image` or `Model`.
    """

    uri: str
    type: str


@dataclass(frozen=True)
class Action:
    """Something that was done.

    Attributes:
        name: Its name.
        type: `Approval` or `ModelDeployment`.
        arn: Of what it was done to.
    """

    name: str
    type: str
    arn: str


@dataclass(frozen=True)
class Context:
    """Something that others belong to.

    Attributes:
        name: Its name.
        type: `Endpoint` or `ModelGroup`.
        arn: What it stands for.
    """

    name: str
    type: str
    arn: str


@dataclass(frozen=True, eq=False)
class Component:
    """A trial component.

    Attributes:
        name: Its name.
        members: What it has now, as CreateTrialComponent takes it, and its Source.
        experiment: The experiment that it is part of; empty without.
        trial: The trial that it is part of; empty without.
    """

    name: str
    members: Document
    experiment: str = ""
    trial: str = ""


Entity = Artifact | Action | Context | Component


@dataclass(frozen=True)
class Link:
    """An association.

    Attributes:
        source: What led to the other.
        destination: What came of it.
        type: `ContributedTo`, `Produced` or `AssociatedWith`.
    """

    source: Entity
    destination: Entity
    type: str


@dataclass(frozen=True)
class Tracked:
    """Entities, and what is associated.

    Attributes:
        subject: What all this is told of.
        links: The associations; the entities at their ends are to be there, too.
    """

    subject: Entity
    links: tuple[Link, ...]

    @property
    def entities(self) -> tuple[Entity, ...]:
        """All entities that are to be there, each once."""
        ends = [end for link in self.links for end in (link.source, link.destination)]
        return tuple(dict.fromkeys((self.subject, *ends)))


def of_job(job: JobFacts) -> Tracked:
    """The trial component of a job, what it reads, and, when it is completed, what it made."""
    name, experiment = name_of(job), job.experiment.get("ExperimentName", "")
    trial = job.experiment.get("TrialName", name) if experiment else ""
    component = Component(name, _component(job), experiment, trial)
    inputs = [Artifact(job.image, "Image"), *(Artifact(uri, "DataSet") for uri in job.inputs.values())]
    made = "Model" if job.kind == TRAINING.stored else "DataSet"
    outputs = [Artifact(uri, made) for uri in job.outputs.values()] if job.status == "Completed" else []
    return Tracked(
        component, (*_each(inputs, component), *(Link(component, one, "Produced") for one in _told(outputs)))
    )


def name_of(job: JobFacts) -> str:
    """The name of a job's trial component."""
    return f"{job.name}-aws-{job.kind}"


def of_package(package: Document, group: Document) -> Tracked:
    """A version of a model, its group, its approval, and the images and models in it.

    Args:
        package: Its document.
        group: The document of its group.
    """
    version = Artifact(package["ModelPackageArn"], "Model")
    of_group = Context(
        f"{group['ModelPackageGroupName']}-{_epoch(group['CreationTime'])}-aws-model-package-group",
        "ModelGroup",
        group["ModelPackageGroupArn"],
    )
    inside = [
        artifact
        for container in package.get("InferenceSpecification", {}).get("Containers", ())
        for artifact in _container(container.get("Image"), model_data_url(container))
    ]
    return Tracked(
        version,
        (
            *_each(inside, version),
            *of_approval(package, package["CreationTime"]).links,
            Link(version, of_group, "AssociatedWith"),
        ),
    )


def of_approval(package: Document, when: float) -> Tracked:
    """An approval status that a package has from now on.

    Args:
        package: Its document.
        when: Epoch seconds.
    """
    version, status = Artifact(package["ModelPackageArn"], "Model"), package["ModelApprovalStatus"]
    name = (
        f"{package['ModelPackageGroupName']}-{package['ModelPackageVersion']}-{status}-{_epoch(when)}-aws-model-package"
    )
    approval = Action(name[-_LONGEST_NAME:].lstrip("-"), "Approval", version.uri)
    return Tracked(approval, (Link(approval, version, "ContributedTo"),))


def of_endpoint(endpoint: Document, deployment: Deployment, packages: Mapping[str, str]) -> Tracked:
    """What an endpoint serves.

    Args:
        endpoint: Its document.
        deployment: What it serves.
        packages: The ARNs of the packages that models are made of, by ModelName.
    """
    name, arn = endpoint["EndpointName"], endpoint["EndpointArn"]
    context = Context(f"{name}-{_epoch(endpoint['CreationTime'])}-aws-endpoint", "Endpoint", arn)
    done = Action(f"{name}-{round(deployment.started_at * 1000)}-aws-model-deployment", "ModelDeployment", arn)
    served = [
        artifact
        for variant in deployment.variants
        for artifact in _container(variant.image, variant.model_data_url, packages.get(variant.model))
    ]
    return Tracked(context, (*_each(served, done), Link(done, context, "AssociatedWith")))


def _each(artifacts: Iterable[Artifact], entity: Entity) -> list[Link]:
    return [Link(artifact, entity, "ContributedTo") for artifact in _told(artifacts)]


def _told(artifacts: Iterable[Artifact]) -> list[Artifact]:
    """One of each, without those whose URI is longer than SageMaker takes it."""
    return list({one.uri: one for one in artifacts if len(one.uri) <= _LONGEST_URI}.values())


def _container(image: str | None, data: str | None, package: str | None = None) -> list[Artifact]:
    found = [(image, "Image"), (data, "Model"), (package, "Model")]
    return [Artifact(uri, kind) for uri, kind in found if uri]


def _component(job: JobFacts) -> Document:
    """A job's component as CreateTrialComponent would take it, and its source."""
    reason = job.document.get("FailureReason", "")
    secondary = f", secondary status: {job.document['SecondaryStatus']}" if "SecondaryStatus" in job.document else ""
    message = f"Status: {job.status}{secondary}, failure reason: {reason}."
    members: Document = {
        "Source": {"SourceArn": job.arn, "SourceType": _JOBS[job.kind]},
        "Status": {"PrimaryStatus": job.status, "Message": shortened(_in_one_line(message))},
        "Parameters": _parameters(job),
        "InputArtifacts": _artifacts(job.inputs, _content_types(job.document)),
        "OutputArtifacts": {},
        **{name: time for name, time in job.times.items() if name in {"StartTime", "EndTime"}},
    }
    if job.status == "Completed":
        names = {"model": _MODEL} if job.kind == TRAINING.stored else {}
        members["OutputArtifacts"] = _artifacts({names.get(name, name): uri for name, uri in job.outputs.items()}, {})
    if shown := job.experiment.get("TrialComponentDisplayName"):
        members["DisplayName"] = shown
    if metrics := job.document.get("MetricSummaries"):
        members["Metrics"] = [{**one, "SourceArn": job.arn} for one in metrics]
    return {
        name: dict(list(value.items())[: _MOST[name]]) if name in _MOST else value for name, value in members.items()
    }


def _parameters(job: JobFacts) -> Document:
    resources = job.document.get("ResourceConfig") or job.document.get("ProcessingResources", {}).get(
        "ClusterConfig", {}
    )
    machine = {
        "SageMaker.ImageUri": job.image,
        **{f"SageMaker.{name}": resources[name] for name in _RESOURCES if name in resources},
    }
    return {name[:_LONGEST_KEY]: _parameter(value) for name, value in {**machine, **job.parameters}.items()}


def _parameter(value: object) -> Document:
    """A value as a number where it reads as one that JSON can have, and a text otherwise."""
    text = str(value)
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    return {"NumberValue": number} if math.isfinite(number) else {"StringValue": text[:_LONGEST_TEXT]}


def _in_one_line(text: str) -> str:
    """A text without line breaks, which AWS's service model has no place for."""
    return " ".join(text.splitlines())


def _artifacts(uris: Mapping[str, str], types: Mapping[str, str]) -> Document:
    return {
        name[:_LONGEST_KEY]: {
            "Value": uri,
            **({"MediaType": types[name]} if _MEDIA_TYPE.fullmatch(types.get(name, "")) else {}),
        }
        for name, uri in uris.items()
        if len(uri) <= _LONGEST_URI
    }


def _content_types(document: Document) -> dict[str, str]:
    channels = document.get("InputDataConfig", ())
    return {channel["ChannelName"]: channel["ContentType"] for channel in channels if channel.get("ContentType")}


def _epoch(time: float) -> int:
    return int(time)
