"""Downloads an object of an OCI registry or of S3 into a file, and resumes where a connection broke.

Standard library only: the serving image has no other client. Objects are never held in memory as a whole.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any
from urllib.parse import quote, urlsplit

from modelstack.serving.registry import Repository, send
from modelstack.serving.registry_protocol import Blob, ProtocolError, words_in

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each retry; a try that got some bytes starts over with the first."""
_BLOCK = 1 << 18
_NOTHING = hashlib.sha256(b"").hexdigest()
_WORDS = 4096


class DownloadError(Exception):
    """The download failed; the message names the object, and quotes the server."""


class Refused(DownloadError):
    """A permanent failure. `status` is the server's; 0 when it sends too many bytes."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class RegistrySource:
    """A blob of a registry, by its `sha256:<hex>`."""

    repository: Repository
    digest: str

    @property
    def name(self) -> str:
        """Its URI."""
        return str(Blob(self.repository.registry, self.repository.name, self.digest))

    def open(self, offset: int) -> Any:
        """Request it, with a token where the registry wants one."""
        return self.repository.open(f"blobs/{self.digest}", headers=_range(offset))


@dataclass(frozen=True)
class Credentials:
    """AWS keys; temporary ones have a token."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


def signed(url: str, credentials: Credentials, region: str, now: datetime) -> dict[str, str]:
    """The headers to send with a GET of a URL without a query, whose path is encoded; `now` is UTC.

    Source: AWS Signature Version 4, "Create a signed AWS API request".
    """
    parts = urlsplit(url)
    at = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": parts.netloc, "x-amz-content-sha256": _NOTHING, "x-amz-date": at}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"GET\n{parts.path}\n\n{lines}\n{names}\n{_NOTHING}"
    scope = f"{at[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_key}".encode()
    for part in (at[:8], region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    told = f"Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    del headers["host"]  # the HTTP client sends it
    return {**headers, "Authorization": f"AWS4-HMAC-SHA256 {told}"}


@dataclass(frozen=True)
class BucketSource:
    """An object, `s3://bucket/key`, of S3 or a compatible store; anonymous without credentials."""

    name: str
    endpoint: str
    region: str
    credentials: Credentials | None = None

    @classmethod
    def of(cls, uri: str, environment: Mapping[str, str]) -> BucketSource:
        """With the keys, region and endpoint of AWS's usual variables. Raises ProtocolError for a wrong endpoint."""
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
        own = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
        if own and not own.startswith(("https://", "http://")):
            raise ProtocolError(f"the endpoint of S3 is {own!r}: expected https://HOST[:PORT]")
        key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
        credentials = Credentials(key, secret, environment.get("AWS_SESSION_TOKEN", "")) if key and secret else None
        return cls(uri, (own or f"https://s3.{region}.amazonaws.com").rstrip("/"), region, credentials)

    def open(self, offset: int) -> Any:
        """Request it."""
        url = f"{self.endpoint}/{quote(self.name.removeprefix('s3://'), safe='/~')}"
        headers = signed(url, self.credentials, self.region, datetime.now(UTC)) if self.credentials else {}
        authorization = headers.pop("Authorization", "")
        request = urllib.request.Request(url, headers={**headers, **_range(offset)})  # noqa: S310  http or https
        return send(request, authorization, insecure=url.startswith("http://"))


def download(
    source: RegistrySource | BucketSource,
    to: IO[bytes],
    *,
    limit: int,
    say: Callable[[str], None] = lambda _: None,
    pauses: Sequence[float] = PAUSES,
) -> str:
    """Write an object of at most `limit` bytes into an empty file and return its sha256, hexadecimal.

    Raises:
        Refused: The server refuses, or sends more bytes than allowed.
        DownloadError: Every try failed.
        ProtocolError: The server has no TLS, or wants a login of an unknown kind.
    """
    sha256, done, failed = hashlib.sha256(), 0, 0
    while True:
        before = done
        try:
            with source.open(done) as answer:
                if done and not _goes_on(answer, done):
                    to.seek(0)
                    to.truncate()
                    sha256, done, before = hashlib.sha256(), 0, 0
                expected = _length(answer)
                for block in iter(lambda: answer.read(_BLOCK), b""):
                    done += len(block)
                    if done > limit:
                        raise Refused(f"{source.name} is longer than {limit:,} bytes, which are allowed")
                    sha256.update(block)
                    to.write(block)
            if expected is None or done - before == expected:
                return sha256.hexdigest()
            why = f"the connection ended after {done - before:,} of {expected:,} bytes"
        except urllib.error.HTTPError as error:
            why = refusal(error)
            if not is_temporary(error.code):
                raise Refused(f"cannot read {source.name}: {why}", error.code) from None
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and _of_disk(error):
                raise
            why = failure(error)
        failed = 1 if done > before else failed + 1
        if failed > len(pauses):
            raise DownloadError(f"cannot read {source.name}, tried {failed} times: {why}")
        say(f"trying again in {pauses[failed - 1]:g} s, from byte {done:,}: {why}")
        time.sleep(pauses[failed - 1])


def is_temporary(status: int) -> bool:
    """Whether a request that got this status may succeed later."""
    return status in {408, 425, 429} or status >= http.HTTPStatus.INTERNAL_SERVER_ERROR


def refusal(error: urllib.error.HTTPError) -> str:
    """The message of a server that refuses, as one line."""
    with error:
        try:
            words = words_in(error.read(_WORDS))
        except (OSError, http.client.HTTPException):
            words = "nothing"
    return f"{urlsplit(error.url or '').netloc or 'the server'} answers {error.code} and says: {words}"


def failure(error: Exception) -> str:
    """Why there is no answer, as one line."""
    return str(getattr(error, "reason", "") or error) or type(error).__name__


def _goes_on(answer: Any, done: int) -> bool:
    """Whether an answer begins at the requested byte, and not from the start."""
    said = answer.headers.get("Content-Range", "")
    return answer.status == http.HTTPStatus.PARTIAL_CONTENT and said.startswith(f"bytes {done}-")


def _length(answer: Any) -> int | None:
    text = answer.headers.get("Content-Length", "")
    return int(text) if text.isdigit() else None


def _of_disk(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)


def _range(offset: int) -> dict[str, str]:
    return {"Range": f"bytes={offset}-"} if offset else {}
