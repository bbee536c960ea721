"""Which of a stack's functions do not run because they, or what invokes them, were deleted or disabled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from modelstack.platforms.aws.clients import Clients, calling
from modelstack.platforms.s3.errors import code_of

SCHEDULED = "SCHEDULED"
"""The variable of the advance function: the handlers of the scheduled functions, separated by commas."""
ADVANCE, ROLLBACK = "advance", "rollback"
_ALWAYS = (ADVANCE, "drift", "labels")


def missing(clients: Clients, endpoint: str, topic: str) -> tuple[str, ...]:
    """Each function, schedule and subscription that is deleted or disabled, in a few words; `topic` is an ARN.

    The advance function's own variables name the scheduled functions. Raises `RolloutError` if they cannot be read.
    """
    functions, schedules = clients("lambda"), clients("scheduler")
    with calling(f"look for the functions of {endpoint}"):
        advance = _found(functions.get_function_configuration, FunctionName=f"{endpoint}-{ADVANCE}")
        variables = (advance or {}).get("Environment", {}).get("Variables", {})
        scheduled = variables[SCHEDULED].split(",") if SCHEDULED in variables else _ALWAYS
        gone = [] if advance else [f"function {endpoint}-{ADVANCE} is deleted"]
        for handler in (ROLLBACK, *(one for one in scheduled if one != ADVANCE)):
            if _found(functions.get_function_configuration, FunctionName=f"{endpoint}-{handler}") is None:
                gone.append(f"function {endpoint}-{handler} is deleted")
        for handler in scheduled:
            schedule = _found(schedules.get_schedule, Name=f"{endpoint}-{handler}")
            if schedule is None or schedule["State"] != "ENABLED":
                gone.append(f"schedule {endpoint}-{handler} is {'disabled' if schedule else 'deleted'}")
        pages = clients("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
        subscribed = [item["Endpoint"] for page in pages for item in page["Subscriptions"]]
    if not any(one.endswith(f":{endpoint}-{ROLLBACK}") for one in subscribed):
        gone.append(f"the subscription of {endpoint}-{ROLLBACK} to the alarms is deleted")
    return tuple(gone)


def _found(read: Callable[..., dict[str, Any]], **name: str) -> dict[str, Any] | None:
    try:
        return read(**name)
    except ClientError as error:
        if code_of(error) != "ResourceNotFoundException":
            raise
        return None
