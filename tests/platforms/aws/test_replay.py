"""Which captured files of an endpoint are replayed."""

from __future__ import annotations

import io
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from platforms.aws.replay import SageMakerReplay
from tests.services.test_replay import line


class Cloud:
    """An endpoint that captures into a bucket, and answers whatever it is sent."""

    def __init__(self, captures: bool = True) -> None:
        self.files: dict[str, str] = {}
        self.captures = captures

    def __call__(self, service: str) -> Any:
        return self

    def file(self, hours: int, *lines: str) -> None:
        """A file of the champion's captures that was written some hours ago."""
        at = datetime.now(UTC) - timedelta(hours=hours)
        self.files[f"capture/e/v-a/{at:%Y/%m/%d/%H}/{len(self.files)}.jsonl"] = "\n".join(lines)

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        return {"DataCaptureConfig": {"DestinationS3Uri": "s3://artifacts/capture"}} if self.captures else {}

    def get_paginator(self, name: str) -> Any:
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[Any]:
        found = [key for key in self.files if key.startswith(Prefix)]
        return [{"Contents": [{"Key": key, "LastModified": int(key[-7:-6])} for key in found]}]

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        return {"Body": io.BytesIO(self.files[Key].encode())}

    def invoke_endpoint(self, **_: Any) -> dict[str, Any]:
        return {"Body": io.BytesIO(b'{"p": 0.25}')}


def bodies(cloud: Cloud, limit: int = 100, after: str = "") -> list[bytes]:
    return [asked.body for _, (asked, _) in SageMakerReplay(cloud, "e").latest("v-a", limit, Counter(), after)]


def test_the_latest_files_come_first_and_a_later_run_continues_where_another_ended() -> None:
    cloud = Cloud()
    cloud.file(30, line("1"), line("2"))
    cloud.file(1, line("3"), line("4"))
    cloud.file(1, line("5"))
    assert bodies(cloud) == [b"5", b"4", b"3", b"2", b"1"]
    (_, (reached, _), *_) = SageMakerReplay(cloud, "e").latest("v-a", 2, Counter())
    assert bodies(cloud, after=reached) == [b"3", b"2", b"1"]
    assert SageMakerReplay(cloud, "e").run("v-a", "v-b", 10).requests == 5


def test_an_endpoint_that_captures_nothing_has_nothing_to_replay() -> None:
    assert bodies(Cloud(captures=False)) == []
