"""What must a caller be allowed beside the action that a request asks for? To hand over a role, and to read code.

ministack asks for the action alone. So whoever may make a function could run as any role, or run what lies in any
bucket, one of another account too. Pure.

Source: IAM user guide, "Grant a user permissions to pass a role to an AWS service"; AWS Lambda developer guide,
"Deploying .zip file archives" and "Cross-account S3 access".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from localcloud.server.requests import Request

_TAKE_ROLES = {"ecr", "events", "lambda", "logs", "scheduler", "states"}
_ROLES = ("Role", "RoleArn", "roleArn", "customRoleArn")

_TAG_ACTIONS = {
    "s3": ("PutBucketTagging", "PutBucketTagging"),
    "sagemaker": ("AddTags", "DeleteTags"),
    "sqs": ("TagQueue", "UntagQueue"),
    "ssm": ("AddTagsToResource", "RemoveTagsFromResource"),
}
"""Actions that set and remove tags, where they are not TagResource and UntagResource."""

Need = tuple[str, str, dict[str, str]]
"""An action, on which resource, and its condition keys."""


def needs(service: str, given: Mapping[str, Any]) -> Iterator[Need]:
    """What a request needs beside its action.

    Args:
        service: The router's name.
        given: The operation's input.
    """
    targets = given.get("Targets")
    parts = [given, given.get("Target"), *(targets if isinstance(targets, list) else [])]
    for part in parts if service in _TAKE_ROLES else ():
        for role in (part[name] for name in _ROLES if part.get(name)) if isinstance(part, dict) else ():
            yield "iam:PassRole", str(role), {"iam:PassedToService": f"{service}.amazonaws.com"}
    for part in (given, given.get("Code"), given.get("Content")) if service == "lambda" else ():
        if isinstance(part, dict) and part.get("S3Bucket") and part.get("S3Key"):
            action = "s3:GetObjectVersion" if part.get("S3ObjectVersion") else "s3:GetObject"
            yield action, f"arn:aws:s3:::{part['S3Bucket']}/{part['S3Key']}", {}


def tagging(request: Request, namespace: str, resource: str, context: Mapping[str, Any]) -> Iterator[Need]:
    """The rights of the services whose resources a request tags, for all at once or where it makes one with tags.

    Source: Resource Groups Tagging API reference, "TagResources"; Service Authorization Reference, "Dependent actions".

    Args:
        request: To any service but S3 and SageMaker.
        namespace: What IAM calls its service.
        resource: The one that it makes.
        context: Condition keys of the tags that it names.
    """
    given = request.members
    if request.service == "tagging" and request.action in {"TagResources", "UntagResources"}:
        tags, names = given.get("Tags") or {}, given.get("TagKeys")
        keys: dict[str, Any] = {f"aws:RequestTag/{name}": str(value) for name, value in tags.items()}
        keys["aws:TagKeys"] = [*(names or tags)]
        for arn in given.get("ResourceARNList") or ():
            yield f"{str(arn).split(':')[2]}:{_tag_action(str(arn), removes=names is not None)}", str(arn), keys
    named = {name.partition(".")[0] for name, value in given.items() if value}
    if namespace != "sagemaker" and request.action.startswith(("Create", "Put")) and named & {"Tags", "tags"}:
        yield f"{namespace}:{_tag_action(resource, removes=False)}", resource, dict(context)


def _tag_action(arn: str, *, removes: bool) -> str:
    service, *_, kind = arn.split("/", maxsplit=1)[0].split(":")[2:] if arn.count(":") >= 5 else ("", "")
    if service == "iam":  # TagRole and so on
        return ("Untag" if removes else "Tag") + "".join(part.capitalize() for part in kind.split("-"))
    return _TAG_ACTIONS.get(service, ("TagResource", "UntagResource"))[removes]
