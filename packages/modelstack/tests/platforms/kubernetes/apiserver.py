"""A real API server with its etcd on loopback, without nodes and without controllers: what tests write is all there is.

    with api_server(folder) as server:
        api = Api(server.access(), "models")

The programs are those of `make cluster`, which keeps them in the user's cache, and Debian's etcd.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from localcloud.testing import free_port
from modelstack.platforms.kubernetes.access import Access, from_kubeconfig
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.kinds import CRD
from modelstack.rollout.core.errors import RolloutError

ADMIN, NOBODY = "test-admin", "test-nobody"
"""Tokens of somebody who may do everything, and of somebody who may do nothing."""
_START_SECONDS = 90.0


def programs() -> tuple[Path, Path] | None:
    """kube-apiserver and the folder of the Gateway API's definitions, the newest; None when they were never made."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "modelstack")
    servers = sorted(cache.glob("cluster-kubernetes-*/bin/kube-apiserver"), key=lambda path: path.stat().st_mtime)
    routes = sorted(cache.glob("cluster-gateway-*/*/gateway.networking.k8s.io_httproutes.yaml"))
    return (servers[-1], routes[-1].parent) if servers and routes else None


def missing() -> str:
    """Why no API server can be started; empty when one can."""
    if shutil.which("etcd") is None:
        return "no etcd command is on PATH"
    return "" if programs() else "no kube-apiserver was built on this machine; `make cluster` builds it once"


@dataclass(frozen=True)
class ApiServer:
    """A running API server; its kubeconfig has the contexts `admin` and `nobody`."""

    kubeconfig: Path
    url: str
    process: subprocess.Popen[bytes]

    def access(self, context: str = "admin") -> Access:
        """How it is reached."""
        return from_kubeconfig(context, [self.kubeconfig])


@dataclass(frozen=True)
class Impersonating(httpx.Auth):
    """Requests as a user of a group, which an administrator may send."""

    inner: httpx.Auth
    who: str
    group: str = "system:masters"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Add who is meant."""
        request.headers["Impersonate-User"] = self.who
        request.headers["Impersonate-Group"] = self.group
        yield from self.inner.auth_flow(request)


@contextmanager
def api_server(folder: Path) -> Generator[ApiServer]:
    """Start one with the Gateway API's HTTPRoute defined, until the block ends."""
    found = programs()
    assert found is not None, missing()
    program, definitions = found
    etcd_port, peer_port, port = (free_port() for _ in range(3))
    etcd_url, peer_url = f"http://127.0.0.1:{etcd_port}", f"http://127.0.0.1:{peer_port}"
    etcd = [
        "etcd", "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync", "--log-level", "error",
        "--listen-client-urls", etcd_url, "--advertise-client-urls", etcd_url, "--listen-peer-urls", peer_url,
        "--initial-advertise-peer-urls", peer_url, "--initial-cluster", f"default={peer_url}",
    ]  # fmt: skip
    key = _signing_key(folder)
    tokens = folder / "tokens.csv"
    tokens.write_text(f"{ADMIN},admin,1,system:masters\n{NOBODY},nobody,2\n")
    server = [
        str(program), "--etcd-servers", etcd_url, "--bind-address", "127.0.0.1", "--secure-port", str(port),
        "--cert-dir", str(folder / "certificates"), "--token-auth-file", str(tokens),
        "--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.0.0.0/24",
        "--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", str(key),
        "--service-account-signing-key-file", str(key), "--endpoint-reconciler-type", "none",
        "--disable-admission-plugins", "ServiceAccount",
    ]  # fmt: skip
    with _running(etcd, folder / "etcd.log"), _running(server, folder / "apiserver.log") as process:
        started = ApiServer(_kubeconfig(folder, port), f"https://127.0.0.1:{port}", process)
        _wait_for(started, folder / "certificates" / "apiserver.crt", folder / "apiserver.log")
        _define(Api(started.access(), "default"), definitions)
        yield started


def define(api: Api, definitions: Sequence[dict[str, object]]) -> None:
    """Apply CustomResourceDefinitions and wait until their objects can be made."""
    names = [api.apply(CRD, one, "tests", force=True)["metadata"]["name"] for one in definitions]
    end = time.monotonic() + _START_SECONDS
    for name in names:
        while not _established(api.get(CRD, name)):
            assert time.monotonic() < end, f"{name} is not established"
            time.sleep(0.1)


def _define(api: Api, folder: Path) -> None:
    files = folder / "gateway.networking.k8s.io_httproutes.yaml", _patches(folder)
    define(api, [one for file in files for one in yaml.safe_load_all(file.read_text()) if one])


def _patches(folder: Path) -> Path:
    """The definition of Envoy Gateway's patches, which lies beside the Gateway API's."""
    (found,) = folder.parent.glob("*/gateway.envoyproxy.io_envoypatchpolicies.yaml")
    return found


def _established(definition: dict[str, object]) -> bool:
    status = definition.get("status") or {}
    assert isinstance(status, dict)
    return any(item["type"] == "Established" and item["status"] == "True" for item in status.get("conditions") or ())


def _signing_key(folder: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    path = folder / "accounts.key"
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return path


def _kubeconfig(folder: Path, port: int) -> Path:
    authority = "certificates/apiserver.crt"  # beside this file
    content = {
        "clusters": [
            {"name": "c", "cluster": {"server": f"https://127.0.0.1:{port}", "certificate-authority": authority}}
        ],
        "users": [{"name": "admin", "user": {"token": ADMIN}}, {"name": "nobody", "user": {"token": NOBODY}}],
        "contexts": [{"name": who, "context": {"cluster": "c", "user": who}} for who in ("admin", "nobody")],
        "current-context": "admin",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path


def _wait_for(server: ApiServer, certificate: Path, log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        assert server.process.poll() is None, log.read_text()[-2000:]
        try:
            if certificate.exists():
                access = server.access()
                with httpx.Client(base_url=access.server, verify=access.verify, auth=access.auth) as client:
                    if client.get("/readyz").is_success:
                        return
        except (httpx.TransportError, RolloutError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"kube-apiserver is not ready after {_START_SECONDS} s: {log.read_text()[-2000:]}")


@contextmanager
def _running(words: Sequence[str], log: Path) -> Generator[subprocess.Popen[bytes]]:
    with log.open("w") as written:
        process = subprocess.Popen(words, stdout=written, stderr=subprocess.STDOUT, process_group=0)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
