"""What S3 asks on the way to an object beside the action: a key and the right to it, and to hear that it lacks."""

from __future__ import annotations

import json

from ministack.core import responses, router
from ministack.services import kms
from ministack.services import s3 as ministack_s3

from localcloud.server.limits import missing_principals
from localcloud.server.platform import Answer
from localcloud.server.refusals import Asked, refusal
from localcloud.server.regions import Handle

_KEY_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"
_WRITES = {"uploads", "uploadId", "partNumber", "x-id"}
"""Parameters of the query string that a write of an object may have; all others are of requests without a key."""


def guarded(s3: Handle) -> Handle:
    """S3's handler, asking for both."""
    return _telling_what_lacks_to_lister(_knowing_principals(_asking_to_write_under_a_key(_asking_for_the_key(s3))))


def _knowing_principals(s3: Handle) -> Handle:
    """A bucket's policy names no role or user that does not exist."""

    async def handle(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Answer:
        if method == "PUT" and "policy" in query and any(missing_principals(body.decode(errors="replace"))):
            answer: Answer = ministack_s3._error("MalformedPolicy", "Invalid principal in policy", 400)
            return answer
        return await s3(method, path, headers, body, query)

    return handle


def _asking_to_write_under_a_key(s3: Handle) -> Handle:
    """An object is encrypted only with a key that can be used, of another account only for who may make data keys.

    Source: Amazon S3 user guide, "Using server-side encryption with AWS KMS keys", "Permissions".
    """

    async def handle(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Answer:
        key = headers.get(_KEY_HEADER, "")
        if method in {"PUT", "POST"} and key.startswith("arn:") and key.split(":")[4] != responses.get_account_id():
            refused = refusal(Asked("s3", headers, query), "kms:GenerateDataKey", key)
            if refused:
                return refused
        if (
            method in {"PUT", "POST"}
            and query.keys() <= _WRITES
            and (refused := _unusable(key or _default(path), headers))
        ):
            return refused
        return await s3(method, path, headers, body, query)

    return handle


def _asking_for_the_key(s3: Handle) -> Handle:
    """An object that a key of KMS encrypts is given only if the key can be used, to another account if it may decrypt.

    In the key's own account S3 does not ask for that right here.

    Source: Amazon S3 user guide, "Using server-side encryption with AWS KMS keys", "Permissions".
    """

    async def handle(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Answer:
        caller = responses.get_account_id()
        answer = await s3(method, path, headers, body, query)
        if method != "GET" or answer[0] not in {200, 206}:
            return answer
        key = next((value for name, value in answer[1].items() if name.lower() == _KEY_HEADER), "")
        region = router.extract_region(headers, query)
        if not key:
            return answer
        if not key.startswith("arn:"):
            kind = "" if key.startswith("alias/") else "key/"
            key = f"arn:aws:kms:{region}:{responses.get_account_id()}:{kind}{key}"
        if refused := _unusable(key, headers):
            return refused
        if caller == responses.get_account_id():
            return answer
        with responses.request_scope(caller, region):
            return refusal(Asked("s3", headers, query), "kms:Decrypt", key) or answer

    return handle


def _default(path: str) -> str:
    """The key with which a bucket encrypts what comes without one; empty without any."""
    bucket = path.lstrip("/").partition("/")[0]
    owners = [account for account, name in ministack_s3._buckets._data if name == bucket]
    if not owners:
        return ""
    with responses.request_scope(owners[0], responses.get_region()):
        key = str(ministack_s3._bucket_default_sse_headers(bucket).get(_KEY_HEADER, ""))
        record = kms._resolve_key(key) if key and not key.startswith("arn:") else None
    return record["Arn"] if record else key


def _unusable(key: str, headers: dict[str, str]) -> Answer | None:
    """S3's refusal of a key that is disabled or pending deletion; None of any other, or none."""
    _, _, _, region, account, *_ = key.split(":", 5) if key.startswith("arn:") else [""] * 3 + ["", ""]
    scope = account or responses.get_account_id(), region or router.extract_region(headers, {})
    with responses.request_scope(*scope):
        record = kms._resolve_key(key) if key else None
        refused = kms._check_key_state(record) if record else None
    if refused is None:
        return None
    error = json.loads(refused[2])
    answer: Answer = ministack_s3._error(f"KMS.{error['__type']}", error["message"], 400)
    return answer


def _telling_what_lacks_to_lister(s3: Handle) -> Handle:
    """S3 says that an object is not there (404) only to who may list its bucket; to others it is a refusal (403).

    A condition on `s3:prefix` never holds for it: a request for an object has no prefix.

    Source: GetObject and HeadObject, "Permissions", Amazon S3 API Reference.
    """

    async def handle(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Answer:
        caller = responses.get_account_id()
        answer = await s3(method, path, headers, body, query)
        bucket, _, key = path.lstrip("/").partition("/")
        if answer[0] != 404 or method not in {"GET", "HEAD"} or not key:
            return answer
        with responses.request_scope(caller, router.extract_region(headers, query)):
            refused = refusal(Asked("s3", headers, query), "s3:ListBucket", f"arn:aws:s3:::{bucket}")
        if refused is None:
            return answer
        return refused if method == "GET" else (refused[0], refused[1], b"")

    return handle
