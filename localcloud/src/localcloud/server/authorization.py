"""What a request to one of our own services is called in IAM, and on which resources it acts.

Source: AWS Service Authorization Reference, "Actions, resources, and condition keys" for Amazon SageMaker AI and for
Amazon CloudWatch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from botocore.parsers import BaseCBORParser, ResponseParserError

_CBOR_MAP, _CBOR_OPEN_MAP = 0xA0, 0xBF
# Compiled, and made once: each invocation needs them.
_RUNTIME = re.compile(r"/endpoints/([^/]+)/(invocations|async-invocations|invocations-response-stream)")
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


@dataclass(frozen=True)
class Request:
    """The parts of a request that say what it asks for.

    Attributes:
        action: IAM action without its service prefix, e.g. `InvokeEndpoint`.
        members: The operation's input as far as it is readable without a model.
    """

    action: str
    members: Mapping[str, Any] = field(default_factory=dict)


def read(path: str, headers: Mapping[str, str], body: bytes, parameters: Mapping[str, Any]) -> Request | None:
    """Read a request in any of the protocols that SageMaker, its runtime and CloudWatch speak.

    Args:
        path: Percent-decoded path.
        headers: By lower-case name.
        body: Uncompressed.
        parameters: Those of the query string.
    """
    runtime = _RUNTIME.fullmatch(path)
    if runtime:
        action = "InvokeEndpointAsync" if runtime[2] == "async-invocations" else "InvokeEndpoint"
        return Request(action, {"EndpointName": runtime[1]})
    rpc = re.search(r"/service/[^/]+/operation/([^/]+)$", path)
    if rpc:
        return Request(rpc[1], members(body, parameters))
    target = headers.get("x-amz-target", "")
    if "." in target:
        return Request(target.rsplit(".", 1)[1], members(body, parameters))
    form = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    found = _form({**parameters, **dict(form)})  # as CloudWatch reads them: of two of one name the last, the body's
    return Request(str(found["Action"]), found) if found.get("Action") else None


def members(body: bytes, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """An operation's input: of a JSON or CBOR body, or of a form's parameters; empty when it cannot be read."""
    if body[:1] == b"{":
        value = _json(body)
    elif body and (body[0] == _CBOR_OPEN_MAP or body[0] & 0xE0 == _CBOR_MAP):
        value = _cbor(body)
    else:
        value = _form(parameters)
    return value if isinstance(value, dict) else {}


def asked_about(service: str, read: str, given: Mapping[str, Any], region: str, account: str) -> str:
    """The resource that a request must be allowed on, where ministack reads another one, or none (`*`).

    Source: the Service Authorization Reference of AWS, "Resource types" of each action.
    """
    if service == "events" and given.get("Rule") and given.get("EventBusName", "default") == "default":
        return f"arn:aws:events:{region}:{account}:rule/{given['Rule']}"
    if read != "*":
        return read.replace(":rule/default/", ":rule/")  # a rule of the default bus has no bus in its ARN
    tagged = next((str(given[name]) for name in ("ResourceArn", "ResourceARN", "resourceArn") if given.get(name)), "")
    if service == "sns" and (subscription := str(given.get("SubscriptionArn", ""))):
        return subscription.rpartition(":")[0]  # its topic
    if service == "ecr" and (names := given.get("repositoryNames")):
        return f"arn:aws:ecr:{region}:{account}:repository/{names[0]}"
    if service == "lambda" and (function := given.get("FunctionName")) and "EventSourceArn" not in given:
        return f"arn:aws:lambda:{region}:{account}:function:{function}"
    return tagged or read


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
    role = request.members.get("ExecutionRoleArn") or request.members.get("RoleArn")
    return [str(role)] if role and request.action.startswith(("Create", "UpdatePipeline")) else []


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


def condition_context(service: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Condition keys of the service itself, from an operation's input."""
    namespace = found.get("Namespace")
    return {"cloudwatch:namespace": str(namespace)} if service == "monitoring" and namespace else {}


def role_of(principal: str) -> str:
    """The principal as `aws:PrincipalArn` has it: of a session of a role it is the role, not the session.

    Source: IAM User Guide, "AWS global condition context keys".
    """
    session = re.fullmatch(r"arn:([^:]+):sts::(\d+):assumed-role/([^/]+)/[^/]+", principal)
    return f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}" if session else principal


def s3_conditions(action: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Condition keys of S3 that ministack does not read: on what there is a write depends.

    Source: AWS Service Authorization Reference, "Condition keys for Amazon S3".
    """
    names = ("if-match", "if-none-match")
    return {f"s3:{name}": headers[name] for name in names if headers.get(name)} if action == "s3:PutObject" else {}


def _cbor(body: bytes) -> object:
    parser = BaseCBORParser()
    try:
        return parser.parse_data_item(parser.get_peekable_stream_from_bytes(body))
    except (ResponseParserError, ValueError, EOFError, IndexError):
        return {}


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return {}


def _form(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by name, `AlarmNames.member.1` and so on gathered into a list."""
    gathered: dict[str, Any] = {}
    for key, value in parameters.items():
        one = value[-1] if isinstance(value, list) and value else value
        item = re.fullmatch(r"(\w+)\.member\.\d+", key)
        if item:
            gathered.setdefault(item[1], []).append(one)
        else:
            gathered[key] = one
    return gathered
