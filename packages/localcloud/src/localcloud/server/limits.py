"""What AWS refuses and ministack takes: sizes, names, and what a request refers to.

Each rule is asked after the caller's rights were, and raises AWS's error.

Sources: quotas and API references of AWS Lambda, IAM, Amazon SNS, Amazon EventBridge (with Scheduler), Amazon ECR and
AWS KMS; the texts are those that terraform-provider-aws and users report.
"""

from __future__ import annotations

import functools
import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from typing import Any

from ministack.core import responses
from ministack.services import ecr, iam

from localcloud.server.platform import RoleRefused
from localcloud.server.requests import BadRequest, Request
from localcloud.server.roles import trusting

_SECONDS = 900  # of a function
_ENVIRONMENT = 4096
_SYNCHRONOUS, _EVENT, _ENTRIES = 6 << 20, 1 << 20, 1 << 20
_SUBJECT = 100
_TRUST, _MANAGED, _ATTACHED = 2048, 6144, 10
_INLINE = {"Role": 10_240, "User": 2048, "Group": 5120}
_NAMES = {"RoleName": 64, "UserName": 64, "GroupName": 128, "PolicyName": 128, "InstanceProfileName": 128}
_NAME = re.compile(r"[\w+=,.@-]+", re.ASCII)
_PERSON = re.compile(r"arn:aws:iam::(\d{12}):(role|user)/(?:.*/)?([^/]+)")

Rule = Callable[[Request, Mapping[str, str], str], None]


def check(request: Request, headers: Mapping[str, str], region: str) -> None:
    """Refuse a request to a service of ministack that AWS would refuse; call it in the account that is asked.

    Raises:
        BadRequest: AWS's error.
    """
    for rule in _RULES.get((request.service, request.action), ()):
        rule(request, headers, region)


def missing_principals(policy: object) -> Iterator[str]:
    """The roles and users that a policy document names as principals and that do not exist in any account."""
    for statement in _statements(policy):
        named = statement.get("Principal")
        given = named.get("AWS", ()) if isinstance(named, dict) else ()
        for arn in [given] if isinstance(given, str) else given:
            person = _PERSON.fullmatch(str(arn))
            store = {"role": iam._roles, "user": iam._users}[person[2]]._data if person else {}
            if person and store.get((person[1], person[3]), {}).get("Arn") != arn:
                yield str(arn)


def _statements(policy: object) -> list[dict[str, Any]]:
    try:
        document = json.loads(policy) if isinstance(policy, str) else policy
    except ValueError:
        return []  # ministack refuses it
    found = document.get("Statement", []) if isinstance(document, dict) else []
    return [one for one in ([found] if isinstance(found, dict) else found) if isinstance(one, dict)]


def _function(request: Request, _: Mapping[str, str], region: str) -> None:
    given = request.members
    seconds, runtime, account = given.get("Timeout"), given.get("Runtime"), responses.get_account_id()
    if isinstance(seconds, int) and seconds > _SECONDS:
        limit = f"Member must have value less than or equal to {_SECONDS}"
        raise _invalid("ValidationException", seconds, "timeout", limit)
    if runtime and runtime not in _runtimes():
        raise BadRequest(
            "InvalidParameterValueException",
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
            f"[{', '.join(_runtimes())}] or be a valid ARN",
        )
    variables = (given.get("Environment") or {}).get("Variables") or {}
    measured = json.dumps(variables, separators=(",", ":"), ensure_ascii=False)
    if len(measured.encode()) > _ENVIRONMENT:
        raise BadRequest(
            "InvalidParameterValueException",
            "Lambda was unable to configure your environment variables because the environment variables you have "
            f"provided exceeded the 4KB limit. String measured: {measured}",
        )
    name, role = given.get("FunctionName"), str(given.get("Role") or "")
    if role and _exists(role):  # else ministack refuses it
        _trusts(
            (role, "lambda.amazonaws.com", f"arn:aws:lambda:{region}:{account}:function:{name}", region),
            BadRequest(
                "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda."
            ),
        )


def _exists(role: str) -> bool:
    return iam._roles.get(role.rsplit("/", 1)[-1]) is not None


def _trusts(asked: tuple[str, str, str, str], refusal: BadRequest) -> None:
    role, principal, source, region = asked
    try:
        trusting(role, principal, source, responses.get_account_id(), region)
    except RoleRefused:
        raise refusal from None


@functools.cache
def _runtimes() -> tuple[str, ...]:
    folder = resources.files("botocore") / "data" / "lambda"
    newest = max(folder.iterdir(), key=lambda version: version.name)
    document = json.loads(gzip.decompress((newest / "service-2.json.gz").read_bytes()))
    return tuple(document["shapes"]["Runtime"]["enum"])


def _payload(request: Request, headers: Mapping[str, str], _: str) -> None:
    size = len(request.body)
    if headers.get("x-amz-invocation-type") == "Event" and size > _EVENT:
        text = f"{size} byte payload is too large for the Event invocation type (limit {_EVENT} bytes)"
        raise BadRequest("RequestEntityTooLargeException", text, 413)
    if size > _SYNCHRONOUS:
        text = f"Request must be smaller than {_SYNCHRONOUS} bytes for the InvokeFunction operation"
        raise BadRequest("RequestEntityTooLargeException", text, 413)


def _entries(request: Request, *_: object) -> None:
    size = 0
    for entry in request.members.get("Entries") or ():
        texts = [entry.get(name) or "" for name in ("Source", "DetailType", "Detail")]
        size += sum(len(str(text).encode()) for text in (*texts, *(entry.get("Resources") or ())))
        size += 14 if entry.get("Time") else 0
    if size > _ENTRIES:
        raise BadRequest("ValidationException", "Total size of the entries in the request is over the limit.")


def _subject(request: Request, *_: object) -> None:
    subject = request.members.get("Subject")
    if subject is not None and not (0 < len(subject) < _SUBJECT and subject.isprintable()):
        raise BadRequest("InvalidParameter", "Invalid parameter: Subject")


def _names(request: Request, *_: object) -> None:
    for member, longest in _NAMES.items():
        name = str(request.members.get(member, ""))
        spelled = member[0].lower() + member[1:]
        if len(name) > longest:
            limit = f"Member must have length less than or equal to {longest}"
            raise _invalid("ValidationError", name, spelled, limit)
        if name and not _NAME.fullmatch(name):
            text = "It must contain only alphanumeric characters and/or the following: +=,.@_-"
            raise BadRequest("ValidationError", f"The specified value for {spelled} is invalid. {text}")


def _invalid(code: str, value: object, member: str, limit: str) -> BadRequest:
    text = f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {limit}"
    return BadRequest(code, text)


def _size(policy: object) -> int:
    """The size of a policy; IAM does not count white space."""
    return len("".join(str(policy).split()))


def _over_quota(quota: str, limit: int) -> BadRequest:
    return BadRequest("LimitExceeded", f"Cannot exceed quota for {quota}: {limit}", 409)


def _trust(request: Request, *_: object) -> None:
    policy = request.members.get("AssumeRolePolicyDocument") or request.members.get("PolicyDocument")
    if _size(policy) > _TRUST:
        raise _over_quota("ACLSizePerRole", _TRUST)
    for arn in missing_principals(policy):
        raise BadRequest("MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{arn}"')


def _managed(request: Request, *_: object) -> None:
    if _size(request.members.get("PolicyDocument")) > _MANAGED:
        raise _over_quota("PolicySize", _MANAGED)


def _inline(request: Request, *_: object) -> None:
    kind = request.action.removeprefix("Put").removesuffix("Policy")
    name, given = str(request.members.get(f"{kind}Name")), str(request.members.get("PolicyName"))
    stores = {"User": iam._user_inline_policies, "Group": iam._group_inline_policies}
    there = (iam._roles.get(name) or {}).get("InlinePolicies") if kind == "Role" else stores[kind].get(name)
    others = sum(_size(policy) for policy_name, policy in (there or {}).items() if policy_name != given)
    if others + _size(request.members.get("PolicyDocument")) > _INLINE[kind]:
        text = f"Maximum policy size of {_INLINE[kind]} bytes exceeded for {kind.lower()} {name}"
        raise BadRequest("LimitExceeded", text, 409)


def _attached(request: Request, *_: object) -> None:
    there = (iam._roles.get(str(request.members.get("RoleName"))) or {}).get("AttachedPolicies") or []
    if request.members.get("PolicyArn") not in there and len(there) >= _ATTACHED:
        raise _over_quota("PoliciesPerRole", _ATTACHED)


def _key_policy(request: Request, *_: object) -> None:
    if any(missing_principals(request.members.get("Policy"))):
        text = "Policy contains a statement with one or more invalid principals."
        raise BadRequest("MalformedPolicyDocumentException", text)


def _layers(request: Request, *_: object) -> None:
    name = str(request.members.get("repositoryName"))
    if text := missing_layers(name, str(request.members.get("imageManifest") or "")):
        raise BadRequest("LayersNotFoundException", text)


def _no_upload(request: Request, *_: object) -> None:
    text = f"the local cloud does not serve {request.action}: push layers to its container registry"
    raise BadRequest("UnsupportedOperation", text)


def missing_layers(repository: str, manifest: str | bytes) -> str:
    """Why a manifest cannot be pushed: the repository lacks its config or layers. Empty if it can."""
    try:
        document = json.loads(manifest)
    except ValueError:
        return ""
    parts = [document.get("config"), *(document.get("layers") or ())] if isinstance(document, dict) else []
    digests = [str(part["digest"]) for part in parts if isinstance(part, dict) and part.get("digest")]
    there = ecr._layer_blobs.get(repository, {})
    lacking = list(dict.fromkeys(digest for digest in digests if digest not in there))
    if not lacking or repository not in ecr._repositories:
        return ""
    return (
        f"Layers with digests '[{', '.join(lacking)}]' required for pushing image into repository with name "
        f"'{repository}' in the registry with id '{responses.get_account_id()}' do not exist"
    )


def _schedule(request: Request, _: Mapping[str, str], region: str) -> None:
    role = str((request.members.get("Target") or {}).get("RoleArn") or "")
    group = str(request.members.get("GroupName") or "default")
    source = f"arn:aws:scheduler:{region}:{responses.get_account_id()}:schedule-group/{group}"
    if role:
        text = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
        _trusts((role, "scheduler.amazonaws.com", source, region), BadRequest("ValidationException", text))


_RULES: dict[tuple[str, str], tuple[Rule, ...]] = {
    ("ecr", "CompleteLayerUpload"): (_no_upload,),
    ("ecr", "InitiateLayerUpload"): (_no_upload,),
    ("ecr", "PutImage"): (_layers,),
    ("ecr", "UploadLayerPart"): (_no_upload,),
    ("events", "PutEvents"): (_entries,),
    ("iam", "AttachRolePolicy"): (_attached,),
    ("iam", "CreateGroup"): (_names,),
    ("iam", "CreateInstanceProfile"): (_names,),
    ("iam", "CreatePolicy"): (_names, _managed),
    ("iam", "CreatePolicyVersion"): (_managed,),
    ("iam", "CreateRole"): (_names, _trust),
    ("iam", "CreateUser"): (_names,),
    ("iam", "PutGroupPolicy"): (_names, _inline),
    ("iam", "PutRolePolicy"): (_names, _inline),
    ("iam", "PutUserPolicy"): (_names, _inline),
    ("iam", "UpdateAssumeRolePolicy"): (_trust,),
    ("kms", "CreateKey"): (_key_policy,),
    ("kms", "PutKeyPolicy"): (_key_policy,),
    ("lambda", "CreateFunction"): (_function,),
    ("lambda", "Invoke"): (_payload,),
    ("lambda", "UpdateFunctionConfiguration"): (_function,),
    ("scheduler", "CreateSchedule"): (_schedule,),
    ("scheduler", "UpdateSchedule"): (_schedule,),
    ("sns", "Publish"): (_subject,),
}
