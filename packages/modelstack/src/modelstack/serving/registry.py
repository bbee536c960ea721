"""Requests to one repository of an OCI registry: logins, tokens, redirects and TLS. The only client of registries.

    repository = Repository.of("registry.example:5000", "models/flight-delay", os.environ)
    with repository.open("blobs/sha256:...") as answer:       # its body is not read yet
        answer.read(4096)

A login is sent to the registry and to its token server, never to a host that it redirects to. Standard library only.
Source: OCI distribution specification v1.1.
"""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from modelstack.serving.registry_protocol import (
    LOCAL_CLUSTER,
    Login,
    ProtocolError,
    docker_config,
    is_insecure,
    login_of,
    token_in,
    token_url_of,
    words_in,
)

_TIMEOUT = 30.0
"""Seconds without a byte."""
_READS = ("GET", "HEAD")
_LATER = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
_PLAIN = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""OpenSSL's reasons, by version, for an answer that is not TLS."""


@dataclass
class Repository:
    """One repository of a registry.

    Attributes:
        registry: `HOST` or `HOST:PORT`.
        login: None for anonymous access.
        insecure: Whether requests are sent without TLS.
        trusted: Verifies the registry's certificate; None: the CAs of the system, or of SSL_CERT_FILE.
    """

    registry: str
    name: str
    login: Login | None = None
    insecure: bool = False
    trusted: ssl.SSLContext | None = None
    _authorizations: dict[bool, str] = field(default_factory=dict[bool, str], repr=False)  # by whether it may write

    @classmethod
    def of(
        cls, registry: str, name: str, environment: Mapping[str, str], trusted: ssl.SSLContext | None = None
    ) -> Repository:
        """With the login of the docker config, and without TLS where that is allowed. Raises ProtocolError."""
        insecure = is_insecure(registry, environment)
        return cls(registry, name, login_of(docker_config(environment), registry), insecure, trusted)

    def open(
        self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, content: bytes | Path = b""
    ) -> Any:
        """Send a request with the authorization that the registry wants, and return a successful answer.

        `path` is below the repository, or a URL that the registry gave. Only a GET or a HEAD follows redirects.

        Raises:
            HTTPError: The registry refuses.
            OSError: There is no answer.
            ProtocolError: The registry wants a login of an unknown kind, or a request without TLS.
        """
        base = f"{'http' if self.insecure else 'https'}://{self.registry}/v2/{self.name}/"
        url, writes = path if "://" in path else base + path, method not in _READS
        own = _origin(url) == _origin(base)
        if not own:
            _check_tls(url, self.insecure)
        for again in (False, True):
            authorization = self._authorizations.get(writes, "") if own else ""
            try:
                return self._sent(url, method, headers or {}, content, authorization)
            except urllib.error.HTTPError as error:
                wanted = error.headers.get("WWW-Authenticate")
                by_registry = _origin(error.url or url) == _origin(base)
                if error.code != HTTPStatus.UNAUTHORIZED or not wanted or again or not by_registry:
                    raise
                error.close()
            self._authorizations[writes] = self._authorized(wanted)
        raise AssertionError("a request is sent at least once")

    def _authorized(self, wanted: str) -> str:
        url = token_url_of(wanted, self.name, insecure=self.insecure)
        basic = self.login.basic if self.login else ""
        if not url:
            return basic
        try:
            with self._sent(url, "GET", {}, b"", basic) as answer:
                return f"Bearer {token_in(answer.read(1 << 20))}"
        except urllib.error.HTTPError as error:
            if error.code in _LATER or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            with error:
                words = words_in(error.read(4096))
            raise ProtocolError(
                f"{urlsplit(url).netloc}, which gives its tokens, answers {error.code} and says: {words}"
            ) from None

    def _sent(
        self, url: str, method: str, headers: Mapping[str, str], content: bytes | Path, authorization: str
    ) -> Any:
        with ExitStack() as stack:
            body = stack.enter_context(content.open("rb")) if isinstance(content, Path) else content
            request = urllib.request.Request(url, headers=dict(headers), method=method)  # noqa: S310  checked above
            if method not in _READS:
                size = content.stat().st_size if isinstance(content, Path) else len(content)
                request.data = body
                request.add_header("Content-Length", str(size))
            return send(request, authorization, insecure=self.insecure, trusted=self.trusted)


def send(
    request: urllib.request.Request, authorization: str = "", *, insecure: bool, trusted: ssl.SSLContext | None = None
) -> Any:
    """Send a request; `Authorization` goes to no other host, and no redirect leads from TLS to plain HTTP.

    Raises:
        HTTPError, OSError: There is no successful answer.
        ProtocolError: The server has no TLS, or redirects to a URL without it.
    """
    if authorization:
        request.add_unredirected_header("Authorization", authorization)
    handlers = [_Redirects(insecure=insecure), urllib.request.HTTPSHandler(context=trusted)]
    try:
        return urllib.request.build_opener(*handlers).open(request, timeout=_TIMEOUT)
    except urllib.error.URLError as error:
        if insecure or not any(reason in str(error) for reason in _PLAIN):
            raise
        raise ProtocolError(
            f"{request.host} answers without TLS. That is allowed at localhost, at a loopback address, and at "
            f"{LOCAL_CLUSTER}, the local cluster: give {request.host} a certificate"
        ) from None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects of reads, but never from TLS to plain HTTP."""

    def __init__(self, *, insecure: bool) -> None:
        self._insecure = insecure

    def redirect_request(  # noqa: PLR0917  as urllib calls it
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        if req.get_method() not in _READS:
            raise urllib.error.HTTPError(req.full_url, code, msg, headers, fp)
        _check_tls(newurl, self._insecure)
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None:
            following.method = req.get_method()  # Python 3.11 makes a GET of a HEAD
            authorization = req.unredirected_hdrs.get("Authorization")
            if authorization and _origin(newurl) == _origin(req.full_url):
                following.add_unredirected_header("Authorization", authorization)
        return following


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of a URL, with the default port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _check_tls(url: str, insecure: bool) -> None:
    if not insecure and not url.startswith("https://"):
        raise ProtocolError(f"the server refers to {urlsplit(url).netloc}, which is to be reached without TLS")
