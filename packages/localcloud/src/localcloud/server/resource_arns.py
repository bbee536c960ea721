"""On which resources does a request to a service of ministack's act? Its caller must be allowed on each of them.

A resource has one ARN here, by whichever of its names a request calls it: an alias of a key is that key, and a function
is the same one by its name and by its ARN.

Source: Service Authorization Reference of AWS, "Resource types" of each action; AWS KMS developer guide, "Controlling
access to aliases".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ministack.core.responses import request_scope
from ministack.services import iam, kms, secretsmanager, sqs

from localcloud.server.requests import BadRequest, Request

_OF_ANY_ACCOUNT = {"ecr", "iam", "kms", "lambda", "monitoring", "sagemaker", "sns", "sqs", "sts"}
"""Services that serve resources of other accounts, or check themselves whose one is."""
_OF_NO_REGION = {"iam", "sts"}
_KEY_ID_LENGTH = 36

Names = Mapping[str, Any]


def resource_arns(request: Request, region: str, account: str) -> list[str]:
    """ARNs of the resources, that of the main one first; `["*"]` if the request names none.

    Args:
        request: To any of ministack's services but S3.
        region: Where it is served.
        account: Of the caller.

    Raises:
        BadRequest: It names a resource by the ARN of another region or of an account whose resources are not served.
    """
    given = request.members
    prefix = f"arn:aws:{_PREFIXES.get(request.service, request.service)}:{region}:{account}"
    found = list(_FINDERS[request.service](request, given, prefix)) if request.service in _FINDERS else []
    for member in ("ResourceArn", "ResourceARN", "resourceArn"):
        if (arn := given.get(member)) and request.service != "tagging":
            found.append(str(arn).removesuffix(":*"))  # of a log group
    for arn in found:
        check_place(request.service, arn, region, account)
    return list(dict.fromkeys(found)) or ["*"]


def _key_of_ciphertext(given: Names) -> str:
    """The id of the key by which a symmetric ciphertext was made, or nothing."""
    try:
        made = base64.b64decode(str(given.get("CiphertextBlob", "")))
    except (binascii.Error, ValueError):
        return ""
    return made[:_KEY_ID_LENGTH].decode("utf-8", "ignore") if len(made) > 2 * _KEY_ID_LENGTH - 4 else ""


def check_place(service: str, arn: str, region: str, account: str) -> None:
    """Refuse an ARN of another region, and one of another account where it would be taken for the caller's."""
    parts = arn.split(":", 5)
    if service in _OF_NO_REGION or len(parts) < 6 or parts[0] != "arn":
        return
    if parts[3] not in {"", "*", region}:
        raise BadRequest("InvalidArn", f"{arn} is of region {parts[3]}; this request is served in {region}")
    if parts[4] not in {"", "*", account} and service not in _OF_ANY_ACCOUNT:
        raise BadRequest("InvalidArn", f"{arn} is of account {parts[4]}; this request is served in {account}")


def _strings(given: Names, *names: str) -> Iterator[str]:
    for name in names:
        value = given.get(name)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and one:
                yield one


def _arns(prefix: str, names: Iterator[str]) -> Iterator[str]:
    for name in names:
        yield name if name.startswith("arn:") else f"{prefix}{name}"


def table_arn(name: str, region: str, account: str) -> str:
    """The ARN of a table by its name or its ARN, which may end in an index or a stream: the table is served."""
    return (
        "/".join(name.split("/")[:2])
        if name.startswith("arn:")
        else f"arn:aws:dynamodb:{region}:{account}:table/{name}"
    )


def _dynamodb(request: Request, given: Names, prefix: str) -> Iterator[str]:
    region, account = prefix.split(":")[3:5]
    index = f"/index/{given['IndexName']}" if given.get("IndexName") and request.action in {"Query", "Scan"} else ""
    for name in _strings(given, "TableName", "TableArn", "SourceTableName", "SourceTableArn", "TargetTableName"):
        yield table_arn(name, region, account) + index
    for batch in (given.get("RequestItems"), given.get("TableCreationParameters")):
        if isinstance(batch, Mapping):
            names = _strings(batch, "TableName") if batch is not given.get("RequestItems") else batch
            yield from (table_arn(str(name), region, account) for name in names)
    yield from _strings(given, "BackupArn", "ExportArn", "ImportArn", "StreamArn")


def _ecr(request: Request, given: Names, prefix: str) -> Iterator[str]:
    own = f"arn:aws:ecr:{prefix.split(':')[3]}:{given.get('registryId') or prefix.rpartition(':')[2]}:repository/"
    names = [*_strings(given, "repositoryName", "repositoryNames")]
    if not names and own.split(":")[4] != prefix.rpartition(":")[2]:
        names = ["*"]
    for name in names:
        yield own + name


def _events(request: Request, given: Names, prefix: str) -> Iterator[str]:
    def bus(name: object) -> str:
        text = str(name or "default")
        return text if text.startswith("arn:") else f"{prefix}:event-bus/{text}"

    entries = given.get("Entries")
    for entry in entries if isinstance(entries, list) else ():
        yield bus(entry.get("EventBusName") if isinstance(entry, Mapping) else None)
    of = bus(given.get("EventBusName")).partition(":event-bus/")[2]
    for rule in _strings(given, "Rule", *(["Name"] if request.action.endswith("Rule") else [])):
        yield f"{prefix}:rule/{rule}" if of == "default" else f"{prefix}:rule/{of}/{rule}"
    kinds = {"EventBus": "event-bus", "Connection": "connection", "ApiDestination": "api-destination"}
    kind = next((arn for name, arn in kinds.items() if request.action.endswith(name)), "")
    if kind and given.get("Name"):
        yield f"{prefix}:{kind}/{given['Name']}"
    if request.action.endswith("Permission") or (given.get("EventBusName") and request.action == "ListRules"):
        yield bus(given.get("EventBusName"))
    yield from _arns(f"{prefix}:archive/", _strings(given, "ArchiveName"))
    yield from _arns(f"{prefix}:replay/", _strings(given, "ReplayName"))


def _iam(request: Request, given: Names, prefix: str) -> Iterator[str]:
    """What an action changes; the policy that it attaches is a condition key."""
    path = str(given.get("Path") or "/") if request.action.startswith("Create") else "/"
    of_group = request.action in {"AddUserToGroup", "RemoveUserFromGroup"}
    for member, kind, known in (
        ("GroupName", "group", iam._groups),
        ("RoleName", "role", iam._roles),
        ("UserName", "user", iam._users),
        ("InstanceProfileName", "instance-profile", iam._instance_profiles),
    ):
        if name := given.get(member):
            stored = (known.get(name) or {}).get("Arn")
            yield str(stored or f"arn:aws:iam::{prefix.rpartition(':')[2]}:{kind}{path}{name}")
            if of_group:
                return
    if given.get("PolicyName") and request.action == "CreatePolicy":
        yield f"arn:aws:iam::{prefix.rpartition(':')[2]}:policy{path}{given['PolicyName']}"
    if not {"GroupName", "RoleName", "UserName"} & given.keys():
        yield from _strings(given, "PolicyArn", "OpenIDConnectProviderArn", "SAMLProviderArn", "PolicySourceArn")


def _kms(request: Request, given: Names, prefix: str) -> Iterator[str]:
    embedded = _key_of_ciphertext(given)
    made_by = _key_of_any_account(embedded, prefix)
    for name in _strings(given, "KeyId", "SourceKeyId"):
        yield _key(name, prefix) or made_by or _arn_of_key(name, prefix)  # without such a key the ciphertext's is used
    if made_by and not {"KeyId", "SourceKeyId"} & given.keys():
        yield made_by
    for name in _strings(given, "TargetKeyId", "DestinationKeyId"):
        yield _key(name, prefix) or _arn_of_key(name, prefix)
    for alias in _strings(given, "AliasName"):
        yield f"{prefix}:{alias}"
        if request.action != "CreateAlias" and (key := _key(alias, prefix)):
            yield key


def _key(name: str, prefix: str) -> str:
    """The ARN of the key that a name, an alias or an ARN of either stands for, in the account that has it."""
    region, own = prefix.split(":")[3:5]
    account = name.split(":")[4] if name.count(":") >= 5 else own
    with request_scope(account, region):
        record = kms._resolve_key(name)
    return str(record["Arn"]) if record else ""


def _key_of_any_account(key_id: str, prefix: str) -> str:
    region, own = prefix.split(":")[3:5]
    owners = [account for account, there, key in kms._keys._data if (there, key) == (region, key_id)]
    return f"arn:aws:kms:{region}:{own if own in owners else owners[0]}:key/{key_id}" if owners else ""


def _arn_of_key(name: str, prefix: str) -> str:
    return name if name.startswith("arn:") else f"{prefix}:{'' if name.startswith('alias/') else 'key/'}{name}"


def _lambda(request: Request, given: Names, prefix: str) -> Iterator[str]:
    for name in _strings(given, "FunctionName"):
        if "EventSourceMapping" not in request.action:
            yield _function(name, prefix)
    for name in _strings(given, "LayerName"):
        layer = name if name.startswith("arn:") else f"{prefix}:layer:{name}"
        yield f"{layer}:{given['VersionNumber']}" if given.get("VersionNumber") else layer
    yield from _arns(f"{prefix}:event-source-mapping:", _strings(given, "UUID"))
    yield from _strings(given, "Resource", "Arn", "CodeSigningConfigArn", "DurableExecutionArn")


def _function(name: str, prefix: str) -> str:
    """The ARN of a function by its name or its ARN, with the version or alias that follows; no partial ARNs."""
    if name.startswith("arn:"):
        return name.removesuffix(":$LATEST")
    if "function" in name.split(":")[:-1]:
        raise BadRequest("InvalidParameterValueException", f"FunctionName {name!r} must be a name or a whole ARN")
    return f"{prefix}:function:{name.removesuffix(':$LATEST')}"


def _logs(request: Request, given: Names, prefix: str) -> Iterator[str]:
    names = _strings(given, "logGroupName", "logGroupNames", "logGroupIdentifier", "logGroupIdentifiers")
    for arn in _arns(f"{prefix}:log-group:", names):
        yield f"{arn.removesuffix(':*')}:log-stream:{given.get('logStreamName') or ''}"
    yield from _arns(f"{prefix}:destination:", _strings(given, "destinationName"))


def _scheduler(request: Request, given: Names, prefix: str) -> Iterator[str]:
    name = given.get("Name")
    if name and request.action.endswith("Group"):
        yield f"{prefix}:schedule-group/{name}"
    elif name:
        yield f"{prefix}:schedule/{given.get('GroupName') or 'default'}/{name}"


def _secretsmanager(request: Request, given: Names, prefix: str) -> Iterator[str]:
    for name in _strings(given, "SecretId", "Name"):
        _, secret = secretsmanager._resolve(name)
        yield str(secret["ARN"]) if secret else name if name.startswith("arn:") else f"{prefix}:secret:{name}"


def _sns(request: Request, given: Names, prefix: str) -> Iterator[str]:
    yield from _strings(given, "TopicArn", "TargetArn", "PlatformApplicationArn", "EndpointArn")
    yield from (subscription.rpartition(":")[0] for subscription in _strings(given, "SubscriptionArn"))
    if request.action == "CreateTopic":
        yield f"{prefix}:{given.get('Name')}"


def _sqs(request: Request, given: Names, prefix: str) -> Iterator[str]:
    for url in _strings(given, "QueueUrl"):
        owner, name = sqs._queue_ref_from_urlish(url)
        is_account = owner is not None and re.fullmatch(r"\d{12}", owner, re.ASCII)
        yield f"{prefix.rpartition(':')[0]}:{owner}:{name}" if is_account else f"{prefix}:{name}"
    for name in _strings(given, "QueueName"):
        owner = given.get("QueueOwnerAWSAccountId") or prefix.rpartition(":")[2]
        yield f"{prefix.rpartition(':')[0]}:{owner}:{name}"
    yield from _strings(given, "SourceArn", "DestinationArn")


def _ssm(request: Request, given: Names, prefix: str) -> Iterator[str]:
    names = [*_strings(given, "Name", "Names", "Path")]
    if given.get("ResourceType", "Parameter") == "Parameter":
        names += _strings(given, "ResourceId")
    for name in names:
        bare = name.partition(":parameter/")[2] if name.startswith("arn:") else name.partition(":")[0]
        place = ":".join(name.split(":")[:5]) if name.startswith("arn:") else prefix
        yield f"{place}:parameter/{bare.strip('/')}"


def _states(request: Request, given: Names, prefix: str) -> Iterator[str]:
    for arn in _strings(given, "stateMachineArn", "stateMachineVersionArn", "stateMachineAliasArn"):
        yield ":".join(arn.split(":")[:7])  # without the version or alias
    yield from _strings(given, "executionArn", "activityArn", "mapRunArn")
    kind = {"CreateStateMachine": "stateMachine", "CreateActivity": "activity"}.get(request.action)
    if kind:
        yield f"{prefix}:{kind}:{given.get('name')}"


def _sts(request: Request, given: Names, prefix: str) -> Iterator[str]:
    yield from _strings(given, "RoleArn")


_PREFIXES = {"dynamodbstreams": "dynamodb"}
_FINDERS: dict[str, Callable[[Request, Names, str], Iterator[str]]] = {
    "dynamodb": _dynamodb,
    "dynamodbstreams": _dynamodb,
    "ecr": _ecr,
    "events": _events,
    "iam": _iam,
    "kms": _kms,
    "lambda": _lambda,
    "logs": _logs,
    "scheduler": _scheduler,
    "secretsmanager": _secretsmanager,
    "sns": _sns,
    "sqs": _sqs,
    "ssm": _ssm,
    "states": _states,
    "sts": _sts,
}
