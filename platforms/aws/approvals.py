"""Who agreed that a release may go on trial on a stack: an object a person, beside the packages.

    count(s3, bucket, "3f0c1a2b4d5e")                            # how many agreed
    give(clients, "3f0c1a2b4d5e", why, now, bucket=bucket, group=group)       # the caller agrees

The caller is who the credentials say, and nobody agrees to what they registered themselves, by whatever role. Everyone
writes an object of their own, so two who agree at once lose nothing. Who may write there is decided by IAM.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from platforms.aws.clients import Clients, calling
from platforms.aws.identity import caller
from platforms.aws.versions import GroupVersions
from services.approvals import Approval, ApprovalRefused, refuse_maker
from services.principals import person
from services.versions import of_release

APPROVALS = "approvals"
"""The folder of the bucket."""


def count(s3: Any, bucket: str, release: str) -> int:
    """How many people agreed to a release. It needs no right but `s3:ListBucket`."""
    return len(_keys(s3, bucket, release))


def given(s3: Any, bucket: str, release: str) -> list[Approval]:
    """Who agreed to a release, and why, oldest first."""
    with calling(f"read who agreed to release {release}"):
        read = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in _keys(s3, bucket, release)]
    return sorted((Approval(**json.loads(content)) for content in read), key=lambda one: one.at)


def give(clients: Clients, release: str, why: str, now: float, *, bucket: str, group: str) -> Approval:
    """Agree to a release as who the credentials say. Once more changes nothing.

    Raises:
        ApprovalRefused: No such release is registered, or the caller registered it.
    """
    package = of_release(GroupVersions(group, clients), release)
    if package is None:
        raise ApprovalRefused(f"no release {release} is registered in {group}")
    who = caller(clients)
    refuse_maker(who, release, package.made_by)
    approval = Approval(release, package.package_digest, who, why, now)
    name = hashlib.sha256(person(who).encode()).hexdigest()[:16]
    try:
        clients("s3").put_object(
            Bucket=bucket,
            Key=f"{APPROVALS}/{release}/{name}.json",
            Body=json.dumps(asdict(approval), indent=2).encode(),
            ContentType="application/json",
            IfNoneMatch="*",
        )
    except clients("s3").exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "PreconditionFailed":
            raise
    return approval


def _keys(s3: Any, bucket: str, release: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{APPROVALS}/{release}/")
    return [item["Key"] for page in pages for item in page.get("Contents", [])]
