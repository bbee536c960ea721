"""What does a service answer to a caller who may not do what a request needs beside its own action?"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ministack.core import iam_actions, iam_evaluator, router

from localcloud.server.platform import Answer
from localcloud.server.requests import BadRequest


@dataclass(frozen=True)
class Asked:
    """A request, as far as it says who asks and in which protocol.

    Attributes:
        service: The router's name of the service that answers.
        headers: By lower-case name.
        query: Parameters of the query string.
    """

    service: str
    headers: dict[str, str]
    query: dict[str, list[str]]


def refusal(asked: Asked, action: str, arn: str, context: Mapping[str, Any] | None = None) -> Answer | None:
    """The refusal of a request whose caller may not do something; None if he may.

    Call it in the caller's account.

    Args:
        asked: The request.
        action: In IAM's words, e.g. `iam:PassRole`.
        arn: To which resource.
        context: Condition keys of the action.
    """
    sent = asked.headers, asked.query
    key, region = router.extract_access_key_id(*sent), router.extract_region(*sent)
    # The service whose resource it is: its policy may be asked too.
    service = arn.split(":")[2] if arn.startswith("arn:") else asked.service
    denied = iam_evaluator.enforce(key, action, service, region, resource_arn=arn, service_context=dict(context or {}))
    if not isinstance(denied, iam_evaluator.EvalResult):
        return None
    return iam_actions.access_denied_response(
        asked.service,
        action,
        denied.principal_arn,
        str(uuid.uuid4()),
        headers=asked.headers,
        resource_arn=arn,
        explicit_deny=denied.decision == "Deny",
        resource_policy_arn=denied.resource_policy_arn,
    )


def malformed(service: str, headers: Mapping[str, str], error: BadRequest) -> Answer:
    """The answer to a request that cannot be read, in the service's own form."""
    _, answered, body = iam_actions.access_denied_response(
        service, "", "", str(uuid.uuid4()), error_code=error.code, message=str(error), headers=dict(headers)
    )
    if "json" in answered["Content-Type"]:
        others = {name: value for name, value in answered.items() if name.lower() != "x-amzn-errortype"}
        answered = {**others, "x-amzn-ErrorType": error.code}
    return error.status, answered, body
