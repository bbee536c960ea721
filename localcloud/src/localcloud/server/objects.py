"""What S3 asks on the way to an object, beside the action itself: the right to a key, and to hear that it lacks."""

from __future__ import annotations

from ministack.core import responses, router

from localcloud.server.platform import Answer
from localcloud.server.refusals import Asked, refusal
from localcloud.server.regions import Handle

_KEY_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"


def guarded(s3: Handle) -> Handle:
    """S3's handler, asking for both."""
    return _telling_what_lacks_to_lister(_asking_to_write_under_a_key(_asking_for_the_key(s3)))


def _asking_to_write_under_a_key(s3: Handle) -> Handle:
    """An object is encrypted with a key of another account only for who may make data keys with it.

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
        return await s3(method, path, headers, body, query)

    return handle


def _asking_for_the_key(s3: Handle) -> Handle:
    """An object that a key of KMS encrypts is given to another account only if that may decrypt with the key.

    In the key's own account S3 does not ask here.

    Source: Amazon S3 user guide, "Using server-side encryption with AWS KMS keys", "Permissions".
    """

    async def handle(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Answer:
        caller = responses.get_account_id()
        answer = await s3(method, path, headers, body, query)
        if method != "GET" or answer[0] not in {200, 206} or caller == responses.get_account_id():
            return answer
        key = next((value for name, value in answer[1].items() if name.lower() == _KEY_HEADER), "")
        region = router.extract_region(headers, query)
        if not key:
            return answer
        if not key.startswith("arn:"):
            kind = "" if key.startswith("alias/") else "key/"
            key = f"arn:aws:kms:{region}:{responses.get_account_id()}:{kind}{key}"
        with responses.request_scope(caller, region):
            return refusal(Asked("s3", headers, query), "kms:Decrypt", key) or answer

    return handle


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
