"""Which captures of an endpoint are replayed."""

from __future__ import annotations

from typing import Any

import pytest

from modelstack.platforms.aws.blobs import S3Blobs
from modelstack.platforms.aws.endpoint import SageMakerReplay
from modelstack.services.captures import CaptureFiles


class Cloud:
    """An endpoint that captures into a place."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __call__(self, service: str) -> Any:
        return self

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        return {"DataCaptureConfig": {"DestinationS3Uri": self.place}} if self.place else {}


@pytest.mark.parametrize(
    ("place", "folder"), [("s3://artifacts/capture", "capture/e/"), ("s3://artifacts", "e/"), ("", None)]
)
def test_captures_are_where_the_endpoint_says(place: str, folder: str | None) -> None:
    cloud = Cloud(place)
    expected = folder and CaptureFiles(S3Blobs(cloud, "artifacts"), folder)
    assert SageMakerReplay(cloud, "e")._captures() == (expected or None)
    assert folder or SageMakerReplay(cloud, "e").run("v-a", "v-b", 10).requests == 0
