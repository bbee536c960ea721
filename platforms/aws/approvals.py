"""`Approvals` on AWS: an object for each person under `approvals/` of the stack's bucket, which IAM guards."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass

from platforms.aws.blobs import S3Blobs
from platforms.aws.clients import Clients, calling
from platforms.aws.identity import caller
from platforms.s3.errors import code_of
from rollout.core.errors import RolloutError
from services.approvals import Approval
from services.ports import names
from services.principals import person

APPROVALS = "approvals"


@dataclass(frozen=True)
class BucketApprovals:
    """`Approvals` in a bucket. Each person has their own object, so concurrent writers lose nothing."""

    clients: Clients
    bucket: str

    def caller(self) -> str:
        """The ARN of the credentials."""
        return caller(self.clients)

    def given(self, release: str) -> list[Approval]:
        blobs = S3Blobs(self.clients, self.bucket)
        found = list[Approval]()
        for key in names(blobs, f"{APPROVALS}/{release}/"):
            with suppress(FileNotFoundError):  # it was deleted since it was listed
                found.append(Approval(**json.loads(b"".join(blobs.get(key)))))
        return sorted(found, key=lambda one: one.at)

    def count(self, release: str) -> int:
        """See `Approvals`; it needs `s3:ListBucket` alone. 0 if the bucket does not exist yet."""
        try:
            return len([*names(S3Blobs(self.clients, self.bucket), f"{APPROVALS}/{release}/")])
        except RolloutError as error:
            if code_of(error.__cause__) == "NoSuchBucket":
                return 0
            raise

    def add(self, approval: Approval) -> None:
        name = hashlib.sha256(person(approval.who).encode()).hexdigest()[:16]
        key, body = f"{APPROVALS}/{approval.release}/{name}.json", json.dumps(asdict(approval), indent=2).encode()
        new = {"ContentType": "application/json", "IfNoneMatch": "*"}
        try:
            with calling(f"agree to release {approval.release}"):
                self.clients("s3").put_object(Bucket=self.bucket, Key=key, Body=body, **new)
        except RolloutError as error:
            if code_of(error.__cause__) != "PreconditionFailed":
                raise
