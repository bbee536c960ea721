"""What a request to one of our own services is called in IAM, and on which resources it acts.

Source: AWS Service Authorization Reference, "Actions, resources, and condition keys" for Amazon SageMaker AI and for
Amazon CloudWatch.
"""

from __future__ import annotations

from collections.abc import Mapping

from localcloud.server.requests import Request

# In this order: what a request makes or changes stands before what it is made of or in.
_KINDS = {
    "EndpointName": "endpoint",
    "EndpointConfigName": "endpoint-config",
    "ModelName": "model",
    "ModelPackageName": "model-package",
    "ModelPackageArn": "model-package",
    "ModelPackageGroupName": "model-package-group",
    "TrainingJobName": "training-job",
    "ProcessingJobName": "processing-job",
    "PipelineName": "pipeline",
    "PipelineArn": "",
    "PipelineExecutionArn": "",
    "ActionName": "action",
    "ArtifactArn": "artifact",
    "ContextName": "context",
    "TrialComponentName": "experiment-trial-component",
    "TrialName": "experiment-trial",
    "ExperimentName": "experiment",
    "SourceArn": "",
    "DestinationArn": "",
    "ResourceArn": "",
}
_LISTS_OF_ONE = {
    "ListTags",
    "ListPipelineExecutions",
    "ListPipelineExecutionSteps",
    "ListPipelineParametersForExecution",
    "ListPipelineVersions",
}
"""Actions that list what a resource has; others list all resources of a kind."""

_OF_ANY = {
    "CreateArtifact": "artifact",
    "DeleteArtifact": "artifact",
    "SendPipelineExecutionStepFailure": "pipeline",
    "SendPipelineExecutionStepSuccess": "pipeline",
}
"""Actions that need not name the resource, as SageMaker makes its ARN or knows it by a token: any is meant."""


def sagemaker_resources(request: Request, region: str, account: str) -> list[str]:
    """ARNs of the resources that a SageMaker request must be allowed on, the one to name in a refusal first."""

    def arn(kind: str, name: object) -> str:
        text = str(name)
        return text if text.startswith("arn:") else f"arn:aws:sagemaker:{region}:{account}:{kind}/{text.lower()}"

    if request.action.startswith("List") and request.action not in _LISTS_OF_ONE:
        group = str(request.members.get("ModelPackageGroupName", ""))
        is_of_another = group.startswith("arn:") and group.split(":")[4] != account  # it has a policy of its own
        return [group] if is_of_another else ["*"]
    named = [arn(kind, request.members[member]) for member, kind in _KINDS.items() if request.members.get(member)]
    return named or [arn(_OF_ANY[request.action], "*") if request.action in _OF_ANY else "*"]


def cloudwatch_resources(request: Request, region: str, account: str) -> list[str]:
    """ARNs of the resources that a CloudWatch request must be allowed on."""
    members = request.members
    if members.get("AlarmName") or members.get("AlarmNames"):
        names = members.get("AlarmNames") or [members["AlarmName"]]
        return [f"arn:aws:cloudwatch:{region}:{account}:alarm:{name}" for name in names]
    if request.action == "DescribeAlarms":
        return [f"arn:aws:cloudwatch:{region}:{account}:alarm:*"]
    if members.get("DashboardName") or members.get("DashboardNames"):
        names = members.get("DashboardNames") or [members["DashboardName"]]
        return [f"arn:aws:cloudwatch::{account}:dashboard/{name}" for name in names]
    if members.get("ResourceARN"):
        return [str(members["ResourceARN"])]
    return ["*"]


def passed_roles(request: Request) -> list[str]:
    """Roles that the request hands to the service, each of which needs `iam:PassRole`."""
    return [str(role) for name in ("ExecutionRoleArn", "RoleArn") if (role := request.members.get(name))]


def needed_beside(service: str, request: Request, resources: list[str]) -> list[tuple[str, str]]:
    """What else a request must be allowed: actions and resources.

    Source: AWS Service Authorization Reference, "Dependent actions"; for a definition in S3, whoever names it reads it.

    Args:
        service: What IAM calls it.
        request: The request.
        resources: That it must be allowed on, the one that it makes first.
    """
    needed = []
    if service == "sagemaker" and request.action.startswith("Create") and request.members.get("Tags"):
        needed.append(("sagemaker:AddTags", resources[0]))
    place = request.members.get("PipelineDefinitionS3Location")
    if isinstance(place, Mapping):
        needed.append(("s3:GetObject", f"arn:aws:s3:::{place.get('Bucket')}/{place.get('ObjectKey')}"))
    return needed
