"""Enters our own services in ministack's router, handlers and IAM tables.

These tables are ministack's private names: the version is pinned in `requirements/localcloud.in`, and
`tests/server/test_ministack_contract.py` fails when one of them moves.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from importlib import resources
from types import SimpleNamespace
from typing import Any

from ministack import app as ministack_app
from ministack.core import iam_actions, iam_evaluator, responses, router

from localcloud.server import authorization, beside, objects, owners
from localcloud.server.platform import Answer
from localcloud.server.refusals import Asked, refusal
from localcloud.server.regions import Handle

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
_WITH_POLICIES = ("ecr", "kms", "lambda")
"""Services of ministack whose resources another account may use by its ARN; S3, SNS and SQS see to it themselves."""

_START_SECONDS = 30.0


def install(services: Mapping[str, Handle], started: asyncio.Event) -> None:
    """Route to services (by router name) and have IAM enforced on them; they are asked once `started` is set."""
    router.SERVICE_PATTERNS["sagemaker"] = {"host_patterns": [r"sagemaker\."], "target_prefixes": ["SageMaker."]}
    _keep_botocore_models_out()
    iam_actions.SERVICE_TO_IAM_NAMESPACE.update(NAMESPACES)
    _read_our_requests()
    _refuse_like_aws()
    handlers = _Handlers(ministack_app.SERVICE_HANDLERS)
    handlers.update({name: _handler(name, service, started) for name, service in services.items()})
    for name in _WITH_POLICIES:
        handlers[name] = owners.served_by_owner(name, handlers[name])
    handlers |= {name: _asking_beside(name, handlers[name]) for name in beside.SERVICES}
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


def _read_our_requests() -> None:
    action_of = iam_actions.extract_iam_action
    resource_of = iam_actions.extract_resource_arn
    context_of = iam_actions.request_tag_context

    def extract_iam_action(service: str, *request: Any) -> str | None:
        if service not in NAMESPACES:
            return action_of(service, *request)
        _, path, headers, body, parameters = request
        found = authorization.read(path, headers, body, parameters)
        # An action without a name must be one that no policy allows, not one that needs none.
        return f"{NAMESPACES[service]}:{found.action if found else 'UnknownOperation'}"

    def extract_resource_arn(service: str, *request: Any) -> str:
        _, path, headers, body, parameters, region, account = request
        if service not in NAMESPACES:
            if service == "ecr":
                account = owners.registry_of(body, account)
            arn = resource_of(service, *request[:-1], account)
            if service == "kms":
                return owners.key_asked_about(arn, body, region)
            if arn != "*" and service != "events":
                return arn  # without reading a large body once more
            asked = authorization.asked_about(service, arn, authorization.members(body, parameters), region, account)
            every = f"arn:aws:ecr:{region}:{account}:repository/*"
            return every if asked == "*" and account != request[-1] else asked
        found = authorization.read(path, headers, body, parameters)
        return _RESOURCES[service](found, region, account)[0] if found else "*"

    def request_tag_context(service: str, iam_action: str, body: bytes, params: dict[str, Any]) -> dict[str, Any]:
        context = context_of(service, iam_action, body, params)
        if iam_action.startswith("sagemaker:InvokeEndpoint"):
            return context  # what a model is asked is no member of a request, and may be anything
        return {**context, **authorization.condition_context(service, authorization.members(body, params))}

    s3_context_of, condition_of = iam_actions.s3_service_context, iam_evaluator._resolve_condition_key

    def resolve_condition_key(key: str, asked: Any) -> Any:
        found = condition_of(key, asked)
        return authorization.role_of(found) if key.lower() == "aws:principalarn" else found

    def s3_service_context(
        iam_action: str, query: Any, path: str = "", headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        context = s3_context_of(iam_action, query, path, headers)
        return {**context, **authorization.s3_conditions(iam_action, headers or {})}

    iam_actions.s3_service_context = s3_service_context
    iam_evaluator._resolve_condition_key = resolve_condition_key
    iam_actions.extract_iam_action = extract_iam_action
    iam_actions.extract_resource_arn = extract_resource_arn
    iam_actions.request_tag_context = request_tag_context


def _refuse_like_aws() -> None:
    """Name the resource in refusals by our services, and the policy that lacks between accounts.

    CloudWatch's get the code of its former protocol.
    """
    refusal_of = iam_actions.access_denied_response

    def access_denied_response(
        service: str, action: str, principal_arn: str, request_id: str, **options: Any
    ) -> Answer:
        untold = not options.get("message") and not options.get("error_code")
        if untold and options.get("resource_policy_arn") and not options.get("explicit_deny"):
            options["message"] = (
                f"User: {principal_arn} is not authorized to perform: {action} on resource: "
                f"{options['resource_policy_arn']} because no resource-based policy allows the {action} action"
            )
        elif untold and service in NAMESPACES:
            options["message"] = iam_actions.identity_denial_message(
                action, principal_arn, options.get("resource_arn", "*"), bool(options.get("explicit_deny"))
            )
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
        refusal = _refuse_on_further_resources(name, path, headers, body, query)
        return refusal if refusal else await serve(method, path, headers, body, query)

    return handle


def _asking_beside(name: str, serve: Handle) -> Handle:
    """A handler of a service of ministack's that asks for what its requests need beside their action."""

    async def handle(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Answer:
        if method in {"POST", "PUT"} and not path.endswith("/invocations"):
            for action, arn, context in beside.needs(name, authorization.members(body, {})):
                if refused := refusal(Asked(name, headers, query), action, arn, context):
                    return refused
        return await serve(method, path, headers, body, query)

    return handle


def _refuse_on_further_resources(
    name: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
) -> Answer | None:
    """Check what ministack's one check a request leaves out: further resources, tagging, and passing a role."""
    request = authorization.read(path, headers, body, query)
    if request is None:
        return None
    region, account = router.extract_region(headers, query), responses.get_account_id()
    resources = _RESOURCES[name](request, region, account)
    checks = [(f"{NAMESPACES[name]}:{request.action}", arn, {}) for arn in resources]
    beside = authorization.needed_beside(NAMESPACES[name], request, resources)
    checks = [*checks[1:], *((action, arn, {}) for action, arn in beside)] + [
        ("iam:PassRole", arn, {"iam:PassedToService": f"{name}.amazonaws.com"})
        for arn in authorization.passed_roles(request)
    ]
    for action, arn, context in checks:
        refused = refusal(Asked(name, headers, query), action, arn, context)
        if refused:
            return refused
    return None
