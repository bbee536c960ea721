"""`Replay` on SageMaker: requests that an endpoint captured of its champion are sent to its challenger by name.

Where the captures lie, the endpoint says itself: files under `<destination>/<endpoint>/<variant>/yyyy/mm/dd/hh/`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from monitoring.captured import Side
from platforms.aws.clients import Clients, calling
from platforms.aws.invoke import SageMakerInvoke
from rollout.core.replay import NONE
from rollout.core.state import Replayed
from services.replay import HOURS, newest, replay


@dataclass(frozen=True)
class SageMakerReplay:
    """`Replay` over one SageMaker endpoint."""

    clients: Clients
    endpoint: str

    def run(self, champion: str, challenger: str, requests: int, before: Replayed = NONE) -> Replayed:
        """Replay the latest captured requests; none when the endpoint captures nothing."""
        latest = partial(self.latest, champion, requests)
        invoke = SageMakerInvoke(self.clients, self.endpoint)
        return replay(latest, invoke, champion=champion, challenger=challenger, before=before)

    def latest(
        self, variant: str, limit: int, unreadable: Counter[str], after: str = ""
    ) -> Iterator[tuple[str, tuple[Side, Side]]]:
        """The captured exchanges of a variant, each with its place, those of the latest files first.

        Args:
            variant: Who answered.
            limit: At most how many.
            unreadable: Counts the lines that are passed over, by the reason.
            after: Only those after this place; empty for all.
        """
        with calling(f"describe endpoint {self.endpoint}"):
            described = self.clients("sagemaker").describe_endpoint(EndpointName=self.endpoint)
        capture: Mapping[str, Any] = described.get("DataCaptureConfig") or {}
        place = str(capture.get("DestinationS3Uri", ""))
        files = self._files(place, variant, after.rpartition("#")[0]) if place else ()
        return newest(files, limit, unreadable, after)

    def _files(self, place: str, variant: str, begins: str) -> Iterator[tuple[str, bytes]]:
        """The captured files of a variant, newest first, from one on."""
        parts = urlsplit(place)
        root = "/".join(part for part in (parts.path.strip("/"), self.endpoint, variant) if part)
        hour = datetime.now(UTC)
        for back in range(HOURS):
            prefix = f"{root}/{hour - timedelta(hours=back):%Y/%m/%d/%H}/"
            with calling(f"list captures s3://{parts.netloc}/{prefix}"):
                pages = self.clients("s3").get_paginator("list_objects_v2").paginate(Bucket=parts.netloc, Prefix=prefix)
                listed = [item for page in pages for item in page.get("Contents", [])]
            for item in sorted(listed, key=lambda item: item["LastModified"], reverse=True):
                if begins in {"", item["Key"]}:
                    begins = ""
                    yield item["Key"], self._read(parts.netloc, item["Key"])

    def _read(self, bucket: str, key: str) -> bytes:
        with calling(f"read captures s3://{bucket}/{key}"):
            return self.clients("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
