"""`Blobs` on AWS: the objects of an S3 bucket.

Source: Amazon S3 User Guide, "Conditional writes".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from mimetypes import guess_type
from typing import Any

from modelstack.platforms.aws.clients import Clients, calling
from modelstack.platforms.s3.errors import code_of
from modelstack.rollout.core.errors import Busy, Conflict, RolloutError

_CHUNK = 1 << 20
_TAKEN, _RACE = "PreconditionFailed", "ConditionalRequestConflict"


@dataclass(frozen=True)
class S3Blobs:
    """`Blobs` in a bucket."""

    clients: Clients
    bucket: str

    def put_new(self, name: str, content: bytes) -> None:
        try:
            with calling(f"put s3://{self.bucket}/{name}"):
                self.clients("s3").put_object(
                    Bucket=self.bucket,
                    Key=name,
                    Body=content,
                    IfNoneMatch="*",
                    ContentType=guess_type(name)[0] or "application/octet-stream",
                )
        except RolloutError as error:
            code = code_of(error.__cause__)
            if code == _RACE:
                raise Busy(f"{name}: another writer puts it just now") from error
            if code != _TAKEN:
                raise
            if b"".join(self.get(name)) != content:
                raise Conflict(f"s3://{self.bucket}/{name}: other bytes are stored under this name") from error

    def get(self, name: str) -> Iterable[bytes]:
        try:
            with calling(f"read s3://{self.bucket}/{name}"):
                body = self.clients("s3").get_object(Bucket=self.bucket, Key=name)["Body"]
        except RolloutError as error:
            if code_of(error.__cause__) == "NoSuchKey":
                raise FileNotFoundError(name) from error
            raise
        return self._chunks(name, body)

    def _chunks(self, name: str, body: Any) -> Iterator[bytes]:
        with calling(f"read s3://{self.bucket}/{name}"):
            yield from body.iter_chunks(_CHUNK)

    def list(self, prefix: str, after: str = "", most: int = 1000) -> Sequence[str]:
        with calling(f"list s3://{self.bucket}/{prefix}"):
            answer = self.clients("s3").list_objects_v2(
                Bucket=self.bucket, Prefix=prefix, StartAfter=after or prefix, MaxKeys=most
            )
        return [item["Key"] for item in answer.get("Contents", [])]
