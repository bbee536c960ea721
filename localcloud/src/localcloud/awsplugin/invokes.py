"""Functions that the plugin answers: `aws.get_caller_identity` and the like."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from localcloud.awsplugin.cloud import Cloud, partition
from localcloud.awsplugin.failures import InvalidError, explain
from localcloud.awsplugin.wire import Props


@dataclass(frozen=True)
class Answer:
    """A function's result, or pairs of argument and reason."""

    result: Props = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)


def invoke(token: str, args: Props, cloud: Cloud) -> Answer:
    """Call a function by its token.

    Raises:
        InvalidError: The function is not served.
        Failure: The cloud refused.
    """
    if token not in FUNCTIONS:
        raise InvalidError(
            f"the local AWS plugin does not serve the function {token}. It serves: {', '.join(sorted(FUNCTIONS))}"
        )
    function, accepted = FUNCTIONS[token]
    unknown = [
        (name, f"{token} has no argument {name!r}; known: {', '.join(accepted)}") for name in args.keys() - accepted
    ]
    if unknown:
        return Answer(failures=sorted(unknown))
    try:
        return Answer(function(args, cloud))
    except Exception as error:
        raise explain(error, cloud.settings.endpoint) from error


def _caller_identity(args: Props, cloud: Cloud) -> Props:
    found = cloud.identity
    return {"accountId": found["Account"], "arn": found["Arn"], "userId": found["UserId"], "id": found["Account"]}


def _region(args: Props, cloud: Cloud) -> Props:
    name = args.get("region") or args.get("name") or args.get("id") or cloud.settings.region
    return {
        "id": name,
        "name": name,
        "region": name,
        "description": name,
        "endpoint": f"ec2.{name}.{_dns_suffix(name)}",
    }


def _partition(args: Props, cloud: Cloud) -> Props:
    name = partition(cloud.settings.region)
    suffix = _dns_suffix(cloud.settings.region)
    return {
        "id": name,
        "partition": name,
        "dnsSuffix": suffix,
        "reverseDnsPrefix": ".".join(reversed(suffix.split("."))),
    }


def _dns_suffix(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def _policy_document(args: Props, cloud: Cloud) -> Props:
    """A policy as JSON, by the rules of the provider's data source.

    Source: https://registry.terraform.io/providers/hashicorp/aws/latest/docs/data-sources/iam_policy_document
    """
    document: dict[str, Any] = {"Version": args.get("version") or "2012-10-17"}
    if args.get("policyId"):
        document["Id"] = args["policyId"]
    statements: list[dict[str, Any]] = []
    for source in args.get("sourcePolicyDocuments") or []:
        statements = _merged(statements, _statements(source), unique=True)
    statements = _merged(statements, [_statement(s, document["Version"]) for s in args.get("statements") or []])
    for override in args.get("overridePolicyDocuments") or []:
        statements = _merged(statements, _statements(override))
    document["Statement"] = statements
    text = json.dumps(document, indent=2)
    return {
        **args,
        "id": str(int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)),
        "json": text,
        "minifiedJson": json.dumps(document, separators=(",", ":")),
    }


def _statements(text: str) -> list[dict[str, Any]]:
    found = json.loads(text)["Statement"]
    return found if isinstance(found, list) else [found]


def _merged(base: list[dict[str, Any]], more: list[dict[str, Any]], *, unique: bool = False) -> list[dict[str, Any]]:
    """Statements in order; one with a Sid that is there already takes its place."""
    found = list(base)
    for statement in more:
        sid = statement.get("Sid")
        at = next((i for i, s in enumerate(found) if sid and s.get("Sid") == sid), None)
        if at is None:
            found.append(statement)
        elif unique:
            raise InvalidError(f"two source policy documents have a statement with sid {sid!r}")
        else:
            found[at] = statement
    return found


def _statement(given: Props, version: str) -> dict[str, Any]:
    def many(values: list[str]) -> Any:
        texts = [v.replace("&{", "${") for v in values]
        return texts[0] if len(texts) == 1 else sorted(texts, reverse=True)

    found: dict[str, Any] = {}
    if given.get("sid"):
        found["Sid"] = given["sid"]
    found["Effect"] = given.get("effect") or "Allow"
    plain = (
        ("actions", "Action"),
        ("notActions", "NotAction"),
        ("resources", "Resource"),
        ("notResources", "NotResource"),
    )
    for name, member in plain:
        if given.get(name):
            found[member] = many(given[name])
    for name, member in (("principals", "Principal"), ("notPrincipals", "NotPrincipal")):
        if given.get(name):
            found[member] = _principals(given[name], many)
    for condition in given.get("conditions") or []:
        test = found.setdefault("Condition", {}).setdefault(condition["test"], {})
        test[condition["variable"]] = many(condition["values"])
    return found


def _principals(given: list[Props], many: Callable[[list[str]], Any]) -> Any:
    if any(p["type"] == "*" for p in given):
        return "*"
    by_type: dict[str, list[str]] = {}
    for principal in given:
        by_type.setdefault(principal["type"], []).extend(principal["identifiers"])
    return {kind: many(values) for kind, values in by_type.items()}


FUNCTIONS: dict[str, tuple[Callable[[Props, Cloud], Props], set[str]]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": (_caller_identity, {"id"}),
    "aws:index/getRegion:getRegion": (_region, {"id", "name", "region"}),
    "aws:index/getPartition:getPartition": (_partition, {"id"}),
    "aws:iam/getPolicyDocument:getPolicyDocument": (
        _policy_document,
        {"overridePolicyDocuments", "policyId", "sourcePolicyDocuments", "statements", "version"},
    ),
}
