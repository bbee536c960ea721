"""Which S3 requests have one reading only, what is each called in IAM, and on which object does it act?

The path, the query string and the body of a deletion are read here by the rules of the handler that performs them.

Source: Service Authorization Reference of AWS, "Actions, resources, and condition keys for Amazon S3"; Amazon S3 API
reference, `PutObject`, `CopyObject` and `DeleteObjects`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import ParseError, fromstring
from ministack.core import iam_actions
from ministack.services import s3

from localcloud.server.requests import BadRequest, Query

_SUBRESOURCES = {
    name
    for table in (
        iam_actions._S3_QUERY_ACTIONS,
        iam_actions._S3_BUCKET_QUERY_ACTIONS,
        iam_actions._S3_OBJECT_QUERY_ACTIONS,
    )
    for name in table
}
_COPY_SOURCE = re.compile(r"[^?]+(\?versionId=[^?&%=]+)?")
_FORM_TYPES = ("multipart/form-data",)
_PARTS = {"Key", "VersionId", "ETag", "LastModifiedTime", "Size"}
_WITH_HEADERS = {
    "x-amz-tagging": "s3:PutObjectTagging",
    "x-amz-acl": "s3:PutObjectAcl",
    "x-amz-grant-": "s3:PutObjectAcl",
    "x-amz-object-lock-legal-hold": "s3:PutObjectLegalHold",
    "x-amz-object-lock-mode": "s3:PutObjectRetention",
    "x-amz-object-lock-retain-until-date": "s3:PutObjectRetention",
}
"""What the headers of a write ask for beside it."""


def install() -> None:
    """Have ministack name and check requests by the same readings."""
    action_of, more_of = iam_actions._s3_action, iam_actions.s3_additional_checks

    def s3_action(method: str, path: str, query: Any) -> str | None:
        bucket, key = s3._parse_bucket_key(path, {})
        return action_of(method, f"/{bucket}/key" if key else f"/{bucket}", query)

    def s3_additional_checks(
        method: str, path: str, headers: dict[str, str], body: bytes, query: Any
    ) -> list[tuple[str, str]]:
        bucket, key = s3._parse_bucket_key(path, {})
        found = more_of(method, f"/{bucket}/key" if key else f"/{bucket}", headers, body, query)
        if key:
            arn = f"arn:aws:s3:::{bucket}/{key}"
            source = iam_actions._s3_source_object(headers)
            found = [(action, one if source and one == source[0] else arn) for action, one in found]
            if s3_action(method, path, query) == "PutObject":
                found += [(action, arn) for action in sorted(set(_asked_by(headers)))]
        elif method == "POST" and "delete" in query:
            first = next(iter(iam_actions._s3_batch_delete_targets(bucket, body)), None)
            if first and first[1]:
                found.append(("s3:DeleteObjectVersion", first[0]))
        return found

    iam_actions._s3_action, iam_actions.s3_additional_checks = s3_action, s3_additional_checks


def resource(method: str, path: str, body: bytes, query: Any) -> str:
    """The ARN on which a request must be allowed; of a deletion of many objects that of the first."""
    bucket, key = s3._parse_bucket_key(path, {})
    if not bucket:
        return "*"
    if not key and method == "POST" and "delete" in query:
        targets = iam_actions._s3_batch_delete_targets(bucket, body)
        return targets[0][0] if targets else f"arn:aws:s3:::{bucket}"
    return f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"


def check(method: str, path: str, headers: Mapping[str, str], body: bytes, query: Query) -> None:
    """Refuse a request that has two readings.

    Args:
        method: Of HTTP.
        path: Percent-decoded, with the bucket first.
        headers: By lower-case name.
        body: As sent.
        query: Parameters of the query string.

    Raises:
        BadRequest: It has two.
    """
    if "x-amz-target" in headers or "Action" in query or path.startswith(("//", "/http:", "/https:")):
        raise BadRequest("InvalidRequest", "S3 takes a bucket in its path, and neither an Action nor an X-Amz-Target")
    named = sorted(_SUBRESOURCES & query.keys())
    if len(named) > 1:
        raise BadRequest("InvalidArgument", f"Conflicting query string parameters: {', '.join(named)}")
    twice = [name for name, values in query.items() if len(values) > 1]
    if twice or len({name.lower() for name in query}) != len(query):
        raise BadRequest("InvalidArgument", f"a parameter of the query string is there twice: {', '.join(twice)}")
    merged = s3._merge_hoisted_amz_headers(dict(headers), query)
    if (source := merged.get("x-amz-copy-source")) and not _COPY_SOURCE.fullmatch(source):
        raise BadRequest("InvalidArgument", f"Copy Source {source!r} must be bucket/key or bucket/key?versionId=(id)")
    if method == "POST" and headers.get("content-type", "").lower().startswith(_FORM_TYPES):
        raise BadRequest("NotImplemented", "the local cloud does not take objects from forms: use PUT", 501)
    if method == "POST" and "delete" in query:
        _check_deletion(body)


def _asked_by(headers: Mapping[str, str]) -> Iterator[str]:
    for header, action in _WITH_HEADERS.items():
        if any(name == header or (header.endswith("-") and name.startswith(header)) for name in headers):
            yield action


def _check_deletion(body: bytes) -> None:
    try:
        root = fromstring(body)
    except (ParseError, ValueError):
        raise BadRequest("MalformedXML", "The XML you provided was not well-formed") from None
    if _name(root) != "Delete" or not all(_name(one) in {"Object", "Quiet"} for one in root):
        raise BadRequest("MalformedXML", "a deletion is a Delete of Objects")
    for one in (child for child in root if _name(child) == "Object"):
        names = [_name(part) for part in one]
        if not set(names) <= _PARTS or len(set(names)) < len(names) or "Key" not in names or any(map(len, one)):
            raise BadRequest("MalformedXML", "an Object has one Key, and each of its other parts once at most")


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]
