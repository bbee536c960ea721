"""Whose is the resource that a request names? Its owner's account serves the request, once it is allowed (`crossing`).

ministack looks for keys, repositories and functions in the caller's account only.
"""

from __future__ import annotations

from contextlib import suppress

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import s3

from localcloud.server.platform import Answer
from localcloud.server.regions import Handle
from localcloud.server.requests import BadRequest

BUCKET = "arn:aws:s3:::"
"""How the ARN of each bucket and object begins: it names no account."""


def owner_of(arn: str) -> str | None:
    """The account that has a resource; None of an ARN that names none, such as `*`."""
    own = get_account_id()
    if arn.split(":", 5)[4:5] == [own]:  # nearly always
        return own
    if not arn.startswith(BUCKET):
        return iam_evaluator._account_from_arn(arn)
    bucket = arn.removeprefix(BUCKET).partition("/")[0]
    return own if s3._buckets.contains_scoped(own, None, bucket) else s3._bucket_owner_account(bucket)


def served_by_owner(service: str, serve: Handle) -> Handle:
    """A handler that serves each request in the account of the resource that it names.

    Args:
        service: The router's name.
        serve: Serves requests in the account that is asked at the time.
    """

    async def handle(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Answer:
        region, caller = get_region(), get_account_id()
        owner = None
        if _may_name_another(service, path, body):
            request = (service, method, path, headers, body, query, region, caller)
            with suppress(BadRequest):
                owner = owner_of(iam_actions.extract_resource_arn(*request))
        if owner in (None, caller):
            return await serve(method, path, headers, body, query)
        with request_scope(owner, region):
            return await serve(method, path, headers, body, query)

    return handle


def _may_name_another(service: str, path: str, body: bytes) -> bool:
    """Whether it is worth the time to read a request once more."""
    if service == "lambda":
        return ":function:" in path
    return service == "kms" or b"arn:" in body or b"registryId" in body
