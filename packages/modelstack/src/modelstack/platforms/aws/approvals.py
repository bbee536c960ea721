"""`Approvals` on AWS: an object for each person in the stack's bucket, which IAM guards."""

from __future__ import annotations

from functools import partial

from modelstack.platforms.aws.blobs import S3Blobs
from modelstack.platforms.aws.clients import Clients
from modelstack.platforms.aws.identity import caller
from modelstack.platforms.s3.errors import code_of
from modelstack.rollout.core.errors import RolloutError
from modelstack.services.approvals import BlobApprovals


class BucketApprovals(BlobApprovals):
    """`Approvals` in a bucket."""

    @classmethod
    def of(cls, clients: Clients, bucket: str) -> BucketApprovals:
        """Those of a stack, for the person whose credentials the clients have."""
        return cls(S3Blobs(clients, bucket), partial(caller, clients))

    def count(self, release: str) -> int:
        """See `Approvals`; it needs `s3:ListBucket` alone. 0 if the bucket does not exist yet."""
        try:
            return super().count(release)
        except RolloutError as error:
            if code_of(error.__cause__) == "NoSuchBucket":
                return 0
            raise
