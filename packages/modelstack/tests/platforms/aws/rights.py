"""Checks each call that a handler makes in a test against its role's policy, by moto's evaluation of policies."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.client import BaseClient
from moto.iam.access_control import IAMPolicy, PermissionResult

from modelstack.platforms.aws.names import Names
from modelstack.program.aws import managed_mlflow, policies, training_policies
from modelstack.program.aws.statements import Statement, document
from tests.needed import Right, short

HANDLERS = "modelstack.platforms.aws.handlers."
KEY = "arn:aws:kms:us-east-1:123456789012:key/artifacts"
MOTO = "123456789012"
ROLE = {"advance": "controller", "rollback": "controller"}
"""Handler -> its role, where that is not called the same."""


def audit_key() -> str:
    return os.environ.get("AUDIT_KEY", "arn:aws:kms:us-east-1:123456789012:key/audit")


def mirror(names: Names) -> list[Statement]:
    server = os.environ.get("MLFLOW_TRACKING_URI")
    return managed_mlflow.mirror(names, server, os.environ.get("MLFLOW_SECRET", "")) if server else []


POLICIES: dict[str, Callable[[Names], list[Statement]]] = {
    "advance": lambda names: [*policies.controller(names, KEY, audit_key()), *mirror(names)],
    "drift": lambda names: policies.drift(names, KEY),
    "labels": lambda names: policies.labels(names, KEY),
    "retrain": lambda names: training_policies.retrain(names, KEY),
    "rollback": lambda names: policies.controller(names, KEY, audit_key()),
}
"""What each handler's role may do; that the program gives it just that is shown by the tests of the program."""


def variable(name: str, default: str = "") -> property:
    return property(lambda _: os.environ.get(name, default))


class Told(Names):
    """The names that a handler's environment has."""

    prefix = variable("ENDPOINT_NAME")
    journal = variable("JOURNAL_TABLE")
    bucket = variable("ARTIFACT_BUCKET", "artifacts")
    documents = variable("DOCUMENTS_TABLE", "documents")
    alerts = property(lambda _: os.environ.get("ALERTS_TOPIC", "").rpartition(":")[2])


NAMES, TOLD = (kind("model", "stack", MOTO, "us-east-1") for kind in (Names, Told))


def needs(service: str, operation: str, given: dict[str, Any], names: Names) -> Iterator[tuple[str, str]]:
    """The actions that a call needs, each with its resource; `*` where the test's names are not the stack's."""
    if service == "s3":
        action = {"ListObjectsV2": "ListBucket"}.get(operation, operation)
        yield f"s3:{action}", f"arn:aws:s3:::{given['Bucket']}" + (f"/{given['Key']}" if "Key" in given else "")
    elif service == "dynamodb" and operation == "TransactWriteItems":
        for item in given["TransactItems"]:
            for verb, part in item.items():
                yield f"dynamodb:{verb}Item", names.arn("dynamodb", f"table/{part['TableName']}")
    elif service == "dynamodb" and operation == "BatchGetItem":
        for table in given["RequestItems"]:
            yield "dynamodb:BatchGetItem", names.arn("dynamodb", f"table/{table}")
    elif service == "dynamodb" and "IndexName" in given:
        table = names.arn("dynamodb", f"table/{given['TableName']}")
        yield f"dynamodb:{operation}", f"{table}/index/{given['IndexName']}"
    elif service == "dynamodb":
        yield f"dynamodb:{operation}", names.arn("dynamodb", f"table/{given['TableName']}")
    elif service == "kms":
        yield f"kms:{operation}", given["KeyId"]
    elif service == "sns":
        yield f"sns:{operation}", given["TopicArn"]
    else:
        yield f"{service}:{operation}", "*"


def handler_below() -> str | None:
    """The handler whose call this is, by the stack; None for a test's own call."""
    frame = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(HANDLERS) and frame.f_code.co_name == "handler":
            return module.removeprefix(HANDLERS)
        frame = frame.f_back
    return None


def permitting(handler: str, action: str, resource: str, given: dict[str, Any]) -> Iterator[Right]:
    """The rights by which a role may do this, with what the call tells of itself."""
    namespace = given.get("Namespace")
    context = {"cloudwatch:namespace": str(namespace)} if namespace else {}
    for told, named in zip(POLICIES[handler](TOLD), POLICIES[handler](NAMES), strict=True):
        for here, there in zip(told["Resource"], named["Resource"], strict=True):
            one = {**told, "Resource": ["*" if resource == "*" else here]}
            policy = IAMPolicy(document(one))
            if policy.is_action_permitted(action, resource, None, context) is PermissionResult.PERMITTED:
                yield Right(ROLE.get(handler, handler), action, short(there, NAMES))


USED: dict[str, set[Right]] = defaultdict(set)
"""Test module -> the rights that its handlers have used in this process."""


@pytest.fixture(autouse=True)
def held_to_rights(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """Each call that a handler makes in the test is one that its role may make; which rights it used is kept."""
    used = USED[request.path.stem]
    lacking: list[str] = []
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def held(self: Any, operation: str, given: dict[str, Any]) -> Any:
        if handler := handler_below():
            service = self.meta.service_model.service_name
            for action, resource in needs(service, operation, given, TOLD):
                found = list(permitting(handler, action, resource, given))
                used.update(found)
                if not found:
                    lacking.append(f"{handler} may not {action} on {resource}")
        return call(self, operation, given)

    monkeypatch.setattr(BaseClient, "_make_api_call", held)
    yield
    assert not lacking, sorted(set(lacking))
