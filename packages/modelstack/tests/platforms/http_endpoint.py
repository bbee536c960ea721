"""Models behind HTTP: through a gateway that routes by a header, or as SageMaker's runtime."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from tempfile import NamedTemporaryFile

from tests.listening import Quiet, listening

_TARGETS = ("x-modelstack-target", "x-amzn-sagemaker-target-variant")


@dataclass
class Gateway:
    """Variants, the first of which gets requests without a variant, or on a gateway with an unknown one.

    Attributes:
        says: Variant -> status and body of its answers.
        of_a_pod: Whether a variant answers, and not the gateway itself.
    """

    url: str = ""
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list[tuple[dict[str, str], bytes]])
    rules: tuple[str, ...] = ("v-a", "v-b")
    says: dict[str, tuple[int, bytes]] = field(default_factory=dict[str, tuple[int, bytes]])
    of_a_pod: bool = True
    seconds: float = 0.0

    def answer(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes, Mapping[str, str]]:
        """Status, body and headers."""
        self.asked.append((headers, body))
        wanted = next((headers[name] for name in _TARGETS if name in headers), "")
        variant = wanted if wanted in self.rules else self.rules[0]
        status, text = self.says.get(variant, (200, b'{"p": 0.25}'))
        if headers["path"].startswith("/endpoints/"):
            return _sagemaker("" if wanted not in ("", *self.rules) else variant, status, text)
        return status, text, {"x-modelstack-variant": variant} if self.of_a_pod else {}


def _sagemaker(variant: str, status: int, text: bytes) -> tuple[int, bytes, Mapping[str, str]]:
    if not variant:
        return 400, b'{"Message": "Variant not found"}', {"x-amzn-errortype": "ValidationError"}
    if status == 200:
        return 200, text, {"x-Amzn-Invoked-Production-Variant": variant}
    if status == 429:
        return 400, b'{"Message": "Rate exceeded"}', {"x-amzn-errortype": "ThrottlingException"}
    error = {"OriginalStatusCode": status, "OriginalMessage": text.decode(), "Message": "Received an error"}
    return 424, json.dumps(error).encode(), {"x-amzn-errortype": "ModelError"}


@contextmanager
def a_gateway(certificate: tuple[bytes, bytes] | None = None) -> Iterator[Gateway]:
    """A gateway, over TLS where a certificate and its key are given."""
    gateway = Gateway()

    class Handler(Quiet):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            named = {key.lower(): value for key, value in self.headers.items()}
            status, text, headers = gateway.answer({**named, "path": self.path}, body)
            threading.Event().wait(gateway.seconds)
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

    secured = partial(_over_tls, certificate=certificate) if certificate else None
    with listening(Handler, secured=secured) as gateway.url:
        yield gateway


def _over_tls(listening: socket.socket, certificate: tuple[bytes, bytes]) -> socket.socket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with NamedTemporaryFile() as both:
        both.write(b"".join(certificate))
        both.flush()
        context.load_cert_chain(both.name)
    return context.wrap_socket(listening, server_side=True)
