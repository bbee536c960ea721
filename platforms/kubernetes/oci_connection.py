"""Requests to one repository of an OCI registry: who asks, where it redirects to, and what its refusals mean.

    connection = Connection("registry.example:5000", "models/flight-delay", login=Login("ana", "..."))
    with connection.opened("GET", "blobs/sha256:...", "sha256:...") as answer: ...     # its body is not read yet
    connection.ask("HEAD", "blobs/sha256:...", "sha256:...", expected=(200, 404)).status

A login is told to the registry, and to the token server that it names, and to nobody that it redirects to.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx

from platforms.sealed_packages import RegistryError
from rollout.core.errors import RolloutError, Unreachable
from serving.registry_protocol import DIGEST, LOCAL_CLUSTER, Login, ProtocolError, challenge_of, token_in, words_in

LONGEST = 16 * 1024**2
"""Bytes of an answer that is read into memory."""
PAUSES = (0.2, 0.5, 1.0, 2.0)
"""Seconds before each further try of a call that may be repeated."""
_BLOCK = 1 << 20
_REDIRECTS = 4
_TIMEOUT = httpx.Timeout(30, connect=5)
_READS = ("GET", "HEAD")
_PLAIN = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""OpenSSL's words, of one version or another, for an answer that is not TLS."""


class OciError(RegistryError, RolloutError):
    """A registry refuses, or has other bytes than a name says; the message names it, the repository and the digest."""


class OciUnreachable(OciError, Unreachable):
    """A registry does not answer, or not now; the same call later may succeed."""


@dataclass(frozen=True)
class Answer:
    """A short answer, read."""

    status: int
    headers: httpx.Headers
    body: bytes
    url: httpx.URL


class Connection:
    """Speaks with one repository.

    Args:
        host: `HOST` or `HOST:PORT`.
        repository: The repository.
        login: Who asks; None for nobody.
        insecure: Whether it is asked without TLS.
        cafile: Certificates of the CAs that are trusted, PEM; those of the system, or of SSL_CERT_FILE, by default.
    """

    def __init__(
        self,
        host: str,
        repository: str,
        *,
        login: Login | None = None,
        insecure: bool = False,
        cafile: Path | None = None,
    ) -> None:
        self.host, self.repository, self._login, self._insecure = host, repository, login, insecure
        self._base = f"{'http' if insecure else 'https'}://{host}/v2/{repository}/"
        verify: ssl.SSLContext | bool = ssl.create_default_context(cafile=cafile) if cafile else True
        self._client = httpx.Client(verify=verify, timeout=_TIMEOUT)
        self._authorizations: dict[bool, str] = {}  # by whether it is to write

    def close(self) -> None:
        """Let go of what is open."""
        self._client.close()

    def named(self, about: str) -> str:
        """How a message calls a blob, a manifest or a tag."""
        return f"oci://{self.host}/{self.repository}{'@' if DIGEST.fullmatch(about) else ':'}{about}"

    def ask(
        self,
        method: str,
        path: str,
        about: str,
        *,
        expected: Collection[int],
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask and read the short answer; what may be repeated is asked again where the registry is away.

        Args:
            method: The HTTP method.
            path: Below the repository, or a whole URL that the registry gave.
            about: What a message names: a digest or a tag.
            expected: Statuses that are answers; all others are errors.
            content: The body.
            headers: Of the request.

        Raises:
            OciUnreachable: There is no answer, or it is to be asked again.
            OciError: The answer is another one, or too long.
        """
        pauses = PAUSES if method in _READS or path.startswith("manifests/") else ()
        for pause in (*pauses, None):
            try:
                with self.opened(method, path, about, headers, content) as answer:
                    self.check(answer, about, expected)
                    body = b"".join(self.blocks(answer, about, LONGEST))
                    return Answer(answer.status_code, answer.headers, body, answer.url)
            except OciUnreachable:
                if pause is None:
                    raise
                time.sleep(pause)
        raise AssertionError("it is asked once at least")

    @contextmanager
    def opened(
        self, method: str, path: str, about: str, headers: Mapping[str, str] | None = None, content: bytes = b""
    ) -> Generator[httpx.Response]:
        """The answer to a request, its body not read yet; authorized as the registry wants it.

        Raises:
            OciUnreachable: There is none, or it ends too early.
            OciError: The registry wants what is not known here, or redirects where nobody follows.
        """
        url, writes = path if "://" in path else self._base + path, method not in _READS
        try:
            answer = self._sent(method, url, headers or {}, content, writes)
            wanted = answer.headers.get("WWW-Authenticate")
            if answer.status_code == HTTPStatus.UNAUTHORIZED and wanted:
                answer.close()
                self._authorizations[writes] = self._authorized(wanted)
                answer = self._sent(method, url, headers or {}, content, writes)
            try:
                yield answer
            finally:
                answer.close()
        except httpx.HTTPError as error:
            raise self._silent(about, str(error) or type(error).__name__) from None
        except ProtocolError as error:
            raise OciError(f"{self.named(about)}: {error}") from None

    def _silent(self, about: str, why: str) -> OciError:
        """What to say of a registry that gave no answer; one without TLS will not have it a moment later either."""
        if self._insecure or not any(word in why for word in _PLAIN):
            return OciUnreachable(f"{self.named(about)}: the registry does not answer: {why}")
        return OciError(
            f"{self.named(about)}: the registry answers without TLS. That is allowed at localhost, at a loopback "
            f"address, and at {LOCAL_CLUSTER}, the local cluster: give {self.host} a certificate"
        )

    def check(self, answer: httpx.Response, about: str, expected: Collection[int]) -> None:
        """Refuse an answer with another status, with the registry's words.

        Raises:
            OciUnreachable: It is to be asked again.
            OciError: It refuses.
        """
        code = answer.status_code
        if code in expected:
            return
        words = words_in(next(answer.iter_bytes(4096), b""))
        later = code == HTTPStatus.TOO_MANY_REQUESTS or code >= HTTPStatus.INTERNAL_SERVER_ERROR
        nobody = self._login is None and code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        who = f". The docker config has no login for {self.host}" if nobody else ""
        kind = OciUnreachable if later else OciError
        raise kind(f"{self.named(about)}: the registry answers {code} and says: {words}{who}")

    def blocks(self, answer: httpx.Response, about: str, limit: int) -> Generator[bytes]:
        """The bytes of an answer, as long as they are not more than a limit.

        Raises:
            OciError: They are.
        """
        left = limit
        for block in answer.iter_bytes(_BLOCK):
            left -= len(block)
            if left < 0:
                raise OciError(f"{self.named(about)}: the registry sends more than {limit:,} bytes, which are allowed")
            yield block

    def _sent(self, method: str, url: str, headers: Mapping[str, str], content: bytes, writes: bool) -> httpx.Response:
        target, here = httpx.URL(url), httpx.URL(self._base)
        if target.scheme != "https" and not self._insecure:
            raise ProtocolError(f"the registry wants {target.host} to be asked without TLS")
        known = self._authorizations.get(writes, "") if (target.host, target.port) == (here.host, here.port) else ""
        given = {**headers, **({"Authorization": known} if known else {})}
        request = self._client.build_request(method, target, headers=given, content=content or None)
        for _ in range(_REDIRECTS):
            answer = self._client.send(request, stream=True)
            following = answer.next_request
            if following is None or writes:
                return answer
            answer.close()
            if not self._insecure and following.url.scheme != "https":
                raise ProtocolError(f"the registry redirects to {following.url.host}, to be asked without TLS")
            request = following  # httpx leaves out who asks, where it is another host
        raise ProtocolError(f"the registry redirects more than {_REDIRECTS} times")

    def _authorized(self, wanted: str) -> str:
        challenge = challenge_of(wanted, self.repository, insecure=self._insecure)
        basic = self._login.basic if self._login else ""
        if challenge.scheme == "basic":
            return basic
        answer = self._client.get(challenge.token_url, headers={"Authorization": basic} if basic else {})
        if answer.status_code != HTTPStatus.OK:
            server, words = httpx.URL(challenge.token_url).host, words_in(answer.content)
            raise ProtocolError(f"{server}, which gives its tokens, answers {answer.status_code} and says: {words}")
        return f"Bearer {token_in(answer.content)}"
