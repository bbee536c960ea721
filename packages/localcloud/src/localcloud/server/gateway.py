"""Enters our own services in ministack's router, handlers and IAM tables.

These tables are ministack's private names: the version is pinned in `requirements/localcloud.in`, and
`tests/server/test_ministack_contract.py` fails when one of them moves.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from itertools import islice
from types import SimpleNamespace
from typing import Any, TypeVar

from ministack import app as ministack_app
from ministack.core import iam_actions, iam_evaluator, responses, router

from localcloud.server import (
    authorization,
    dependent_actions,
    dispatch,
    limits,
    objects,
    owners,
    policies,
    requests,
    s3_requests,
)
from localcloud.server.condition_keys import condition_keys, role_of, s3_conditions
from localcloud.server.platform import Answer
from localcloud.server.refusals import Asked, malformed, refusal
from localcloud.server.regions import Handle
from localcloud.server.resource_arns import check_place, resource_arns, table_arn

NAMESPACES = {"sagemaker": "sagemaker", "monitoring": "cloudwatch"}
"""Router name of each of our services, and what IAM calls it."""

TAGGING = {
    "sagemaker": frozenset(
        {
            "AddTags",
            "CreateAction",
            "CreateArtifact",
            "CreateContext",
            "CreateEndpoint",
            "CreateEndpointConfig",
            "CreateExperiment",
            "CreateModel",
            "CreateModelPackage",
            "CreateModelPackageGroup",
            "CreatePipeline",
            "CreateProcessingJob",
            "CreateTrainingJob",
            "CreateTrial",
            "CreateTrialComponent",
            "DeleteTags",
        }
    ),
    "monitoring": frozenset({"PutMetricAlarm", "TagResource", "UntagResource"}),
}
"""Operations whose input has tags, for `aws:RequestTag`."""

PROTOCOLS = {
    "dynamodb": ("json", "1.0"),
    "dynamodbstreams": ("json", "1.0"),
    "ecr": ("json", "1.1"),
    "events": ("json", "1.1"),
    "iam": ("query", None),
    "kms": ("json", "1.1"),
    "lambda": ("rest-json", None),
    "logs": ("json", "1.1"),
    "s3": ("rest-xml", None),
    "scheduler": ("rest-json", None),
    "secretsmanager": ("json", "1.1"),
    "sns": ("query", None),
    "sqs": ("json", "1.0"),
    "ssm": ("json", "1.1"),
    "states": ("json", "1.0"),
    "sts": ("query", None),
    "tagging": ("json", "1.1"),
}
"""Protocol and JSON version of ministack's services. Our own are missing on purpose: they choose their content type."""

_RESOURCES = {"sagemaker": authorization.sagemaker_resources, "monitoring": authorization.cloudwatch_resources}
_ACTIONS = {
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
    "DeleteMessageBatch": "DeleteMessage",
    "GetLayerVersionByArn": "GetLayerVersion",
    "Invoke": "InvokeFunction",
    "InvokeAsync": "InvokeFunction",
    "InvokeWithResponseStream": "InvokeFunction",
    "PublishBatch": "Publish",
    "ReEncrypt": "ReEncryptFrom",
    "SendMessageBatch": "SendMessage",
}
"""Actions of IAM whose names are not those of the operations."""

_WITH_POLICIES = ("ecr", "kms", "lambda")
"""Services of ministack whose resources another account may use by its ARN; S3, SNS and SQS see to it themselves."""

_START_SECONDS = 30.0

Found = TypeVar("Found")


def install(services: Mapping[str, Handle], started: asyncio.Event) -> None:
    """Route to services (by router name) and have IAM enforced on them; they are asked once `started` is set."""
    router.SERVICE_PATTERNS["sagemaker"] = {"host_patterns": [r"sagemaker\."], "target_prefixes": ["SageMaker."]}
    _keep_botocore_models_out()
    iam_actions.SERVICE_TO_IAM_NAMESPACE.update(NAMESPACES)
    dispatch.install({*PROTOCOLS, *NAMESPACES})
    _authorize_as_read()
    policies.install()
    _refuse_like_aws()
    handlers = _Handlers(ministack_app.SERVICE_HANDLERS)
    handlers.update({name: _handler(name, service, started) for name, service in services.items()})
    for name in _WITH_POLICIES:
        handlers[name] = owners.served_by_owner(name, handlers[name])
    handlers |= {name: _authorized(name, handlers[name]) for name in PROTOCOLS if name != "s3"}
    handlers["s3"] = objects.guarded(handlers["s3"])
    ministack_app.SERVICE_HANDLERS = handlers


def _keep_botocore_models_out() -> None:
    """Answer from tables what ministack looks up in botocore's models: they take 5 to 40 MB each and stay."""
    data = resources.files("botocore") / "data"
    router._KNOWN_AWS_SERVICE_NAMES = frozenset(entry.name for entry in data.iterdir() if entry.is_dir())
    iam_actions._TAG_OPERATIONS.update(TAGGING)
    models = {
        name: SimpleNamespace(metadata={"protocol": protocol, "jsonVersion": version})
        for name, (protocol, version) in PROTOCOLS.items()
    }
    responses._service_model = models.get


def _authorize_as_read() -> None:
    """Have IAM decide on the requests as they were read, with the names and the resources of AWS."""
    action_of, resource_of = iam_actions.extract_iam_action, iam_actions.extract_resource_arn
    tags_of, s3_context_of = iam_actions.request_tag_context, iam_actions.s3_service_context

    def extract_iam_action(service: str, method: str, path: str, *more: Any) -> str | None:
        if service == "s3":
            return f"s3:{iam_actions._s3_action(method, path, more[-1]) or 'UnknownOperation'}"
        request = requests.current.get()
        if request is None or request.service != service:
            return action_of(service, method, path, *more)
        return f"{iam_actions.SERVICE_TO_IAM_NAMESPACE[service]}:{_ACTIONS.get(request.action, request.action)}"

    def extract_resource_arn(service: str, method: str, path: str, *more: Any) -> str:
        headers, body, query, region, account = more
        if service == "s3":
            return s3_requests.resource(method, path, body, query)
        if service not in PROTOCOLS and service not in NAMESPACES:
            return resource_of(service, method, path, *more)
        sent = requests.Sent(method, path, headers, body, query)
        return _resources(requests.of(service, sent), region, account)[0]

    def request_tag_context(service: str, iam_action: str, body: bytes, params: dict[str, Any]) -> dict[str, Any]:
        if iam_action.startswith("sagemaker:InvokeEndpoint"):
            return {}  # what a model is asked is no member of a request, and may be anything
        request = requests.current.get()
        keys = _guarded(condition_keys, request) if request is not None and request.service == service else {}
        return {**tags_of(service, iam_action, body, params), **keys}

    def s3_service_context(
        iam_action: str, query: Any, path: str = "", headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        return {**s3_context_of(iam_action, query, path, headers), **s3_conditions(iam_action, headers or {})}

    condition_of = iam_evaluator._resolve_condition_key

    def resolve_condition_key(key: str, asked: Any) -> Any:
        found = condition_of(key, asked)
        return role_of(found) if key.lower() == "aws:principalarn" else found

    iam_evaluator._resolve_condition_key = resolve_condition_key
    logs_context_of = iam_actions.logs_service_context
    iam_actions.logs_service_context = lambda action, body, arn, *more: logs_context_of(
        action, body, arn.partition(":log-stream:")[0], *more
    )
    iam_actions.s3_service_context = s3_service_context
    iam_actions.extract_iam_action = extract_iam_action
    iam_actions.extract_resource_arn = extract_resource_arn
    iam_actions.request_tag_context = request_tag_context
    s3_requests.install()
    iam_actions._dynamodb_table_arn = table_arn  # of the items of a transaction
    for name in ("dynamodb_resource_arns", "eventbridge_resource_arns"):
        setattr(iam_actions, name, lambda *_: [])  # `_authorized` asks for each resource


def _resources(request: requests.Request, region: str, account: str) -> list[str]:
    """ARNs of all resources on which a request must be allowed, never none.

    Raises:
        BadRequest: A member has another type than the model says, or names a resource that is not served here.
    """
    if request.service not in _RESOURCES:
        return _guarded(resource_arns, request, region, account)
    found = _guarded(_RESOURCES[request.service], request, region, account)
    for arn in found:
        check_place(request.service, arn, region, account)
    return found


def _guarded(read: Callable[..., Found], *about: Any) -> Found:
    try:
        return read(*about)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise requests.BadRequest("SerializationException", f"a member is of another type: {error}") from None


def _refuse_like_aws() -> None:
    """Name the resource in refusals by our services, and the policy that lacks between accounts.

    CloudWatch's get the code of its former protocol.
    """
    refusal_of = iam_actions.access_denied_response

    def access_denied_response(
        service: str, action: str, principal_arn: str, request_id: str, **options: Any
    ) -> Answer:
        unexplained = not options.get("message") and not options.get("error_code")
        if unexplained and options.get("resource_policy_arn") and not options.get("explicit_deny"):
            options["message"] = (
                f"User: {principal_arn} is not authorized to perform: {action} on resource: "
                f"{options['resource_policy_arn']} because no resource-based policy allows the {action} action"
            )
        elif unexplained and (service in NAMESPACES or policies.undecided.get()):
            options["message"] = iam_actions.identity_denial_message(
                action, principal_arn, options.get("resource_arn", "*"), bool(options.get("explicit_deny"))
            )
            if key := policies.undecided.get():
                options["message"] += f" (the local cloud does not compute the condition key {key}, so it refuses)"
        status, headers, body = refusal_of(service, action, principal_arn, request_id, **options)
        sent = options.get("headers") or {}
        if service == "monitoring" and "xml" not in headers["Content-Type"]:
            # CloudWatch is compatible with its former protocol, whose code clients are to raise.
            code = str(options.get("error_code") or "AccessDenied")
            code = iam_actions._AUTH_FAILURES.get(code, (code,))[0]
            headers = {**headers, "x-amzn-query-error": f"{code};Sender"}
        if service == "sagemaker" and sent.get("x-amz-target") and status == 403:
            status = 400
        return status, headers, body

    iam_actions.access_denied_response = access_denied_response


class _Handlers(dict[str, Any]):
    """Handlers by service; one for services that are not served too, which says so in the service's own protocol."""

    def get(self, key: str, default: object = None) -> Any:
        return super().get(key) or self._refuse(key)

    def _refuse(self, name: str) -> Handle:
        async def refuse(method: str, path: str, headers: dict[str, str], *_: object) -> Answer:
            operation = headers.get("x-amz-target") or f"{method} {path}"
            message = f"the local cloud does not serve {name} ({operation}); it serves {', '.join(sorted(self))}"
            _, answered, body = iam_actions.access_denied_response(
                name, "", "", str(uuid.uuid4()), error_code="UnsupportedService", message=message, headers=headers
            )
            return 501, answered, body

        return refuse


def _handler(name: str, service: Handle, started: asyncio.Event) -> Handle:
    serve = owners.served_by_owner(name, service)

    async def handle(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Answer:
        try:
            await asyncio.wait_for(started.wait(), _START_SECONDS)
        except TimeoutError:
            message = json.dumps({"__type": "ServiceUnavailable", "message": f"{name} is still starting"})
            return 503, {"Content-Type": "application/json"}, message.encode()
        return await serve(method, path, headers, body, query)

    return _authorized(name, handle)


def _authorized(name: str, serve: Handle) -> Handle:
    """A handler that asks for what ministack's one check a request leaves out.

    That is further resources, tagging, reading what is named in S3, and passing a role; then `limits`.
    """

    async def handle(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Answer:
        request = requests.current.get()
        if request is not None and request.query is query:  # else a service calls, not a client
            region = router.extract_region(headers, query)
            for action, arn, context in islice(checks(request, region), 1, None):
                if refused := refusal(Asked(name, headers, query), action, arn, context):
                    return refused
            try:
                limits.check(request, headers, region)
            except requests.BadRequest as error:
                return malformed(name, headers, error)
        return await serve(method, path, headers, body, query)

    return handle


def checks(request: requests.Request, region: str) -> Iterator[dependent_actions.Need]:
    """All that a request to any service but S3 needs, its own action on its main resource first."""
    namespace = iam_actions.SERVICE_TO_IAM_NAMESPACE[request.service]
    resources = _resources(request, region, responses.get_account_id())
    action = f"{namespace}:{_ACTIONS.get(request.action, request.action)}"
    context, further = _guarded(condition_keys, request), resources[1:]
    yield action, resources[0], context
    if request.action == "ReEncrypt":
        action, further = "kms:ReEncryptTo", resources[-1:]
    yield from ((action, arn, context) for arn in further)
    if request.service in _RESOURCES:
        needed = authorization.needed_beside(namespace, request, resources)
        yield from ((action, arn, {}) for action, arn in needed)
        passed = {"iam:PassedToService": f"{request.service}.amazonaws.com"}
        yield from (("iam:PassRole", arn, passed) for arn in authorization.passed_roles(request))
    else:
        yield from dependent_actions.needs(request.service, request.members)
    tags = iam_actions.request_tag_context(
        request.service, f"{namespace}:{request.action}", request.body, request.query
    )
    yield from _guarded(lambda: [*dependent_actions.tagging(request, namespace, resources[0], tags)])
