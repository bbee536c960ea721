"""Event source mappings of queues: refused where AWS refuses them, and kept where a kill would lose them.

ministack makes a mapping whatever its role, queue and function are. It gives a function at most ten messages at once,
as soon as they are there: `BatchSize` above that and `MaximumBatchingWindowInSeconds` make batches no larger.

Source: AWS Lambda developer guide, "Using Lambda with Amazon SQS" and "Configuring an Amazon SQS queue to use with
Lambda"; the texts are those of the service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ministack.core import lambda_runtime
from ministack.core.iam_evaluator import enforce
from ministack.core.responses import error_response_json, get_region
from ministack.services import lambda_svc, sqs

from localcloud.server.durability import LOGS, Durability

_ACTIONS = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
_WITHOUT_WINDOW = 10


def guard(durability: Durability) -> None:
    """Have mappings checked when they are made or changed, and what they do to a queue saved."""
    create, update, run = lambda_svc._create_esm, lambda_svc._update_esm, lambda_svc._run_sqs_batch

    def checked_create(data: dict[str, Any]) -> Any:
        return _refusal(data, None) or create(data)

    def checked_update(mapping: str, data: dict[str, Any]) -> Any:
        known = lambda_svc._esms.get(mapping)
        return (_refusal({**known, **data}, mapping) if known else None) or update(mapping, data)

    def saved_run(*arguments: Any) -> None:
        try:
            run(*arguments)
        finally:
            durability.touch("sqs", LOGS)

    lambda_svc._create_esm, lambda_svc._update_esm = checked_create, checked_update
    lambda_svc._run_sqs_batch = saved_run


def _refusal(data: Mapping[str, Any], mapping: str | None) -> Any:
    """The service's answer to a mapping that it does not take; None when it does, or when ministack will tell."""
    source = str(data.get("EventSourceArn", ""))
    name, qualifier, error = lambda_svc._resolve_existing_esm_function(str(data.get("FunctionName", "")))
    if error or ":sqs:" not in source:
        return None
    config = (lambda_svc._get_func_record_for_qualifier(name, qualifier)[0] or {}).get("config", {})
    problem = _problem(data, source, config)
    if problem is not None:
        return error_response_json("InvalidParameterValueException", problem, 400)
    for other in list(lambda_svc._esms.values()):
        if (other["EventSourceArn"], other["FunctionName"]) == (source, name) and other["UUID"] != mapping:
            return error_response_json(
                "ResourceConflictException",
                f'An event source mapping with SQS arn (" {source} ") and function (" {name} ") already exists. '
                f"Please update or delete the existing mapping with UUID {other['UUID']}",
                409,
            )
    return None


def _problem(data: Mapping[str, Any], source: str, config: Mapping[str, Any]) -> str | None:
    queue = sqs._queue_by_arn(source)
    if queue is None:
        return (
            "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
            "SQS Error Message: The specified queue does not exist."
        )
    key = lambda_runtime.execution_credentials(config)["AWS_ACCESS_KEY_ID"]
    for action in _ACTIONS:
        if enforce(key, f"sqs:{action}", "sqs", get_region(), source) is not None:
            return f"The function execution role does not have permissions to call {action} on SQS"
    hidden, runs = int(queue["attributes"].get("VisibilityTimeout", 30)), int(config.get("Timeout", 3))
    if hidden < runs:
        return f"Queue visibility timeout: {hidden} seconds is less than Function timeout: {runs} seconds"
    if data.get("BatchSize", 10) > _WITHOUT_WINDOW and not data.get("MaximumBatchingWindowInSeconds"):
        return "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
    return None
