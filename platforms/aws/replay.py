"""`Replay` on SageMaker: captured requests of the champion are sent to the challenger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from platforms.aws.blobs import S3Blobs
from platforms.aws.clients import Clients, calling
from platforms.aws.invoke import SageMakerInvoke
from rollout.core.replay import NONE
from rollout.core.state import Replayed
from services.captures import CaptureFiles
from services.replay import Exchange, replay


@dataclass(frozen=True)
class SageMakerReplay:
    """`Replay` over one SageMaker endpoint."""

    clients: Clients
    endpoint: str

    def run(self, champion: str, challenger: str, requests: int, before: Replayed = NONE) -> Replayed:
        """Replay the newest captured requests; none if the endpoint captures nothing."""

        def latest(unreadable: Counter[str], after: str) -> Iterable[tuple[str, Exchange]]:
            captures = self._captures()
            return captures.latest(champion, requests, unreadable, after) if captures else ()

        invoke = SageMakerInvoke(self.clients, self.endpoint)
        return replay(latest, invoke, champion=champion, challenger=challenger, before=before)

    def _captures(self) -> CaptureFiles | None:
        """The captures by the endpoint's description; None if it captures nothing."""
        with calling(f"describe endpoint {self.endpoint}"):
            described = self.clients("sagemaker").describe_endpoint(EndpointName=self.endpoint)
        place = urlsplit((described.get("DataCaptureConfig") or {}).get("DestinationS3Uri", ""))
        folder = "".join(f"{part}/" for part in (place.path.strip("/"), self.endpoint) if part)
        return CaptureFiles(S3Blobs(self.clients, place.netloc), folder) if place.netloc else None
