"""Which captures of an endpoint are replayed."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest

from platforms.aws.replay import SageMakerReplay
from tests.services.test_replay import line


class Cloud:
    """An endpoint that captures into a bucket, and answers whatever it is sent."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __call__(self, service: str) -> Any:
        return self

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        return {"DataCaptureConfig": {"DestinationS3Uri": self.place}} if self.place else {}

    def list_objects_v2(self, Bucket: str, Prefix: str, StartAfter: str, MaxKeys: int) -> dict[str, Any]:
        key = f"capture/e/v-a/{datetime.now(UTC):%Y/%m/%d/%H}/1.jsonl"
        return {"Contents": [{"Key": key}] if key.startswith(Prefix) and key > StartAfter else []}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        assert Bucket == "artifacts"
        return {"Body": Body(line("1").encode())}

    def invoke_endpoint(self, **_: Any) -> dict[str, Any]:
        return {"Body": io.BytesIO(b'{"p": 0.25}')}


class Body(io.BytesIO):
    def iter_chunks(self, size: int) -> list[bytes]:
        return [self.read()]


@pytest.mark.parametrize(("place", "requests"), [("s3://artifacts/capture", 1), ("", 0)])
def test_what_the_endpoint_says_that_it_captures_is_replayed(place: str, requests: int) -> None:
    assert SageMakerReplay(Cloud(place), "e").run("v-a", "v-b", 10).requests == requests
