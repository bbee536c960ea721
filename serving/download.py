"""Downloads one object of an OCI registry or of S3 into a file, and goes on where a connection broke.

    source = RegistrySource.of(Blob.parse(uri), os.environ)        # or BucketSource.of(...)
    sha256 = download(source, Path("archive"), say=print)

Standard library only: the serving image has no other client. What is read is never held in memory as a whole.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import quote, urlsplit

from serving.registry_protocol import (
    Blob,
    Login,
    ProtocolError,
    challenge_of,
    docker_config,
    is_insecure,
    login_of,
    token_in,
    words_in,
)
from serving.s3_signature import Credentials, signed

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each further try; a try that got some bytes begins again with the first."""
_TIMEOUT = 30.0
"""Seconds without a byte after which a connection is given up."""
_BLOCK = 1 << 18
_LATER = {408, 425, 429, 500, 502, 503, 504}
_WORDS = 4096


class DownloadError(Exception):
    """The object cannot be had; the message names it, and says what the server said."""


class TooLong(DownloadError):
    """The object is longer than is allowed."""


class Source(Protocol):
    """An object that can be asked for, from some byte on."""

    @property
    def name(self) -> str:
        """What a message calls it."""
        ...

    def open(self, offset: int) -> Any:
        """Ask for it, and return the answer.

        Raises:
            HTTPError, OSError: There is none.
            ProtocolError: The server wants what is not known here.
        """
        ...


@dataclass
class RegistrySource:
    """A blob of a registry.

    Attributes:
        blob: Which.
        login: Who asks; None for nobody.
        insecure: Whether the registry is asked without TLS.
    """

    blob: Blob
    login: Login | None = None
    insecure: bool = False
    _authorization: str = ""

    @classmethod
    def of(cls, blob: Blob, environment: Mapping[str, str]) -> RegistrySource:
        """With the login of the docker config, and without TLS where that is allowed.

        Raises:
            ProtocolError: The config cannot be read, or the registry must have TLS.
        """
        insecure = is_insecure(blob.registry, environment)
        return cls(blob, login_of(docker_config(environment), blob.registry), insecure)

    @property
    def name(self) -> str:
        """Its URI."""
        return str(self.blob)

    def open(self, offset: int) -> Any:
        """Ask for it, and for a token first where the registry wants one."""
        scheme = "http" if self.insecure else "https"
        url = f"{scheme}://{self.blob.registry}/v2/{self.blob.repository}/blobs/{self.blob.digest}"
        try:
            return _get(url, offset, self._authorization, insecure=self.insecure)
        except urllib.error.HTTPError as error:
            wanted = error.headers.get("WWW-Authenticate")
            if error.code != http.HTTPStatus.UNAUTHORIZED or not wanted:
                raise
            error.close()
        self._authorization = self._authorized(wanted)
        return _get(url, offset, self._authorization, insecure=self.insecure)

    def _authorized(self, wanted: str) -> str:
        challenge = challenge_of(wanted, self.blob.repository, insecure=self.insecure)
        basic = self.login.basic if self.login else ""
        if challenge.scheme == "basic":
            return basic
        with _get(challenge.token_url, 0, basic, insecure=self.insecure) as answer:
            return f"Bearer {token_in(answer.read(1 << 20))}"


@dataclass(frozen=True)
class BucketSource:
    """An object of S3, or of what speaks like it at AWS_ENDPOINT_URL_S3.

    Attributes:
        uri: `s3://bucket/key`.
        endpoint: Where S3 answers.
        region: Of the bucket.
        credentials: Who asks; None for nobody.
    """

    uri: str
    endpoint: str
    region: str
    credentials: Credentials | None = None

    @classmethod
    def of(cls, uri: str, environment: Mapping[str, str]) -> BucketSource:
        """With the keys, region and endpoint of AWS's usual variables.

        Raises:
            ProtocolError: The endpoint is no URL of HTTP.
        """
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
        own = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
        if own and not own.startswith(("https://", "http://")):
            raise ProtocolError(f"the endpoint of S3 is {own!r}: expected https://HOST[:PORT]")
        key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
        credentials = Credentials(key, secret, environment.get("AWS_SESSION_TOKEN", "")) if key and secret else None
        return cls(uri, (own or f"https://s3.{region}.amazonaws.com").rstrip("/"), region, credentials)

    @property
    def name(self) -> str:
        """Its URI."""
        return self.uri

    def open(self, offset: int) -> Any:
        """Ask for it."""
        url = f"{self.endpoint}/{quote(self.uri.removeprefix('s3://'), safe='/~')}"
        given = signed(url, self.credentials, self.region, datetime.now(UTC)) if self.credentials else {}
        authorization = given.pop("Authorization", "")
        return _get(url, offset, authorization, given, insecure=url.startswith("http://"))


def download(
    source: Source,
    to: Path,
    *,
    limit: int,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Write an object into a file and return its sha256, hexadecimal.

    Args:
        source: The object.
        to: The file; replaced.
        limit: Bytes that are read at most.
        say: Called with a line before a further try.
        sleep: Waits so many seconds.

    Raises:
        DownloadError: The server refuses, or did not answer in any try.
        ProtocolError: The server wants what is not known here.
    """
    sha256, done, failed = hashlib.sha256(), 0, 0
    with to.open("wb") as file:
        while True:
            before = done
            try:
                with source.open(done) as answer:
                    if done and not _goes_on(answer, done):
                        file.seek(0)
                        file.truncate()
                        sha256, done, before = hashlib.sha256(), 0, 0
                    expected = _length(answer)
                    for block in iter(lambda: answer.read(_BLOCK), b""):
                        done += len(block)
                        if done > limit:
                            raise TooLong(f"{source.name} is longer than {limit:,} bytes, which are allowed")
                        sha256.update(block)
                        file.write(block)
                if expected is None or done - before == expected:
                    return sha256.hexdigest()
                why = f"the connection ended after {done - before:,} of {expected:,} bytes"
            except urllib.error.HTTPError as error:
                why = _said(error)
                if error.code not in _LATER:
                    raise DownloadError(f"cannot read {source.name}: {why}") from None
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, OSError) and _of_disk(error):
                    raise
                why = str(getattr(error, "reason", "") or error) or type(error).__name__
            failed = 1 if done > before else failed + 1
            if failed > len(PAUSES):
                raise DownloadError(f"cannot read {source.name}, tried {failed} times: {why}")
            say(f"trying again in {PAUSES[failed - 1]:g} s, from byte {done:,}: {why}")
            sleep(PAUSES[failed - 1])


def _goes_on(answer: Any, done: int) -> bool:
    """Whether an answer has the bytes from the one that was asked for, and not all of them once more."""
    said = answer.headers.get("Content-Range", "")
    return answer.status == http.HTTPStatus.PARTIAL_CONTENT and said.startswith(f"bytes {done}-")


def _length(answer: Any) -> int | None:
    text = answer.headers.get("Content-Length", "")
    return int(text) if text.isdigit() else None


def _said(error: urllib.error.HTTPError) -> str:
    with error:
        try:
            words = words_in(error.read(_WORDS))
        except (OSError, http.client.HTTPException):
            words = "nothing"
    return f"{urlsplit(error.url or '').netloc or 'the server'} answers {error.code} and says: {words}"


def _of_disk(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)


def _get(
    url: str, offset: int, authorization: str, headers: Mapping[str, str] | None = None, *, insecure: bool
) -> IO[bytes]:
    """Ask for a URL; who asks is told to its host alone, and not to where it redirects."""
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310  http or https, as was checked
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    if authorization:
        request.add_unredirected_header("Authorization", authorization)
    return urllib.request.build_opener(_Redirects(insecure=insecure)).open(request, timeout=_TIMEOUT)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect, but never from TLS to none."""

    def __init__(self, *, insecure: bool) -> None:
        self._insecure = insecure

    def redirect_request(  # noqa: PLR0917  as urllib calls it
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if not self._insecure and not newurl.startswith("https://"):
            raise urllib.error.HTTPError(req.full_url, code, msg, headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
