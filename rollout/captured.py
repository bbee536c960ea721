"""`Replay` on SageMaker: requests that an endpoint captured of its champion are sent to its challenger by name.

Where the captures lie, the endpoint says itself: JSON Lines under `<destination>/<endpoint>/<variant>/yyyy/mm/dd/hh/`.
Source of the format: Amazon SageMaker Developer Guide, "Data capture".
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from rollout.aws import Clients, calling, code_of
from rollout.ports import RolloutError
from rollout.replay import Answer, Examined, examine, summed
from rollout.state import Replayed

OWN = "replay-"  # begins the inference ids of replayed requests, so that none is replayed again
_HOURS = 48  # how far back captures are looked for
_ASKED_AGAIN = 20  # requests that the champion answers again, for its latency
_SECONDS = 60.0  # the longest a replay takes; what was answered by then counts
_JSON = "application/json"


@dataclass(frozen=True)
class Captured:
    """One captured request and the champion's answer.

    Attributes:
        body: The request's body.
        content_type: Its content type.
        accept: The content type of the answer.
        answer: The answer's body.
    """

    body: bytes
    content_type: str
    accept: str
    answer: bytes


@dataclass(frozen=True)
class SageMakerReplay:
    """`Replay` over one SageMaker endpoint."""

    clients: Clients
    endpoint: str

    def run(self, champion: str, challenger: str, requests: int) -> Replayed:
        """Replay the latest captured requests; none when the endpoint captures nothing."""
        until = time.monotonic() + _SECONDS
        answers: list[Answer] = []
        for number, captured in enumerate(self.latest(champion, requests)):
            seconds, examined = self._ask(challenger, captured, number)
            again = self._ask(champion, captured, number)[0] if number < _ASKED_AGAIN else None
            answers.append(Answer(examined, seconds, again))
            if time.monotonic() > until:
                break
        return summed(answers)

    def latest(self, variant: str, limit: int) -> Iterator[Captured]:
        """The captured exchanges of a variant, those of the latest files first."""
        with calling(f"describe endpoint {self.endpoint}"):
            described = self.clients("sagemaker").describe_endpoint(EndpointName=self.endpoint)
        capture: Mapping[str, Any] = described.get("DataCaptureConfig") or {}
        place = str(capture.get("DestinationS3Uri", ""))
        found = 0
        for bucket, key in self._files(place, variant) if place else ():
            with calling(f"read captures s3://{bucket}/{key}"):
                text: bytes = self.clients("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
            for line in reversed(text.splitlines()):
                captured = exchange(line)
                if captured is not None and found < limit:
                    found += 1
                    yield captured
            if found >= limit:
                return

    def _files(self, place: str, variant: str) -> Iterator[tuple[str, str]]:
        parts = urlsplit(place)
        root = "/".join(part for part in (parts.path.strip("/"), self.endpoint, variant) if part)
        hour = datetime.now(UTC)
        for back in range(_HOURS):
            prefix = f"{root}/{hour - timedelta(hours=back):%Y/%m/%d/%H}/"
            with calling(f"list captures s3://{parts.netloc}/{prefix}"):
                pages = self.clients("s3").get_paginator("list_objects_v2").paginate(Bucket=parts.netloc, Prefix=prefix)
                listed = [item for page in pages for item in page.get("Contents", [])]
            for item in sorted(listed, key=lambda item: item["LastModified"], reverse=True):
                yield parts.netloc, item["Key"]

    def _ask(self, variant: str, captured: Captured, number: int) -> tuple[float, Examined]:
        began = time.monotonic()
        try:
            with calling(f"replay a request to {variant}"):
                answer = self.clients("sagemaker-runtime").invoke_endpoint(
                    EndpointName=self.endpoint,
                    TargetVariant=variant,
                    Body=captured.body,
                    ContentType=captured.content_type,
                    Accept=captured.accept,
                    InferenceId=f"{OWN}{variant}-{number}",
                )
                body: bytes = answer["Body"].read()
        except RolloutError as error:
            if code_of(error.__cause__) != "ModelError":
                raise
            cause: Any = error.__cause__
            said = f"{cause.response.get('OriginalStatusCode', '5XX')}: {cause.response.get('OriginalMessage', '')}"
            return time.monotonic() - began, Examined("error", f"the answer is an error {said}".rstrip(": "))
        return time.monotonic() - began, examine(captured.answer, body)


def exchange(line: bytes) -> Captured | None:
    """Read a captured line; None when it holds no request with its answer, or is a replayed one."""
    try:
        record = json.loads(line)
        asked, answered = record["captureData"]["endpointInput"], record["captureData"]["endpointOutput"]
        if str(record.get("eventMetadata", {}).get("inferenceId", "")).startswith(OWN):
            return None
        return Captured(
            _content(asked),
            str(asked.get("observedContentType", _JSON)),
            str(answered.get("observedContentType", _JSON)),
            _content(answered),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _content(part: Any) -> bytes:
    if part.get("encoding") == "BASE64":
        return base64.b64decode(part["data"], validate=True)
    return str(part["data"]).encode()
