"""Access to an API server, by a context of a kubeconfig or by a pod's service account.

A kubeconfig may use tokens, token files, client certificates, basic auth, and exec plugins, as EKS does.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import time
from typing import Any

import httpx
import yaml

from modelstack.rollout.core.errors import Unavailable, Unreachable

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_EXEC = frozenset({"client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"})
_EXEC_SECONDS = 60.0
_EARLY = 30.0  # seconds before a token's end


@dataclass(frozen=True)
class Access:
    """Access to an API server; `says` is its name in error messages, such as `context prod`.

    Attributes:
        verify: TLS settings with the client's certificate; False disables verification.
        proxy: None uses the proxy of the environment.
    """

    server: str
    verify: ssl.SSLContext | bool
    namespace: str
    says: str
    auth: httpx.Auth | None = None
    in_cluster: bool = False
    proxy: str | None = None


def found(context: str | None = None) -> Access:
    """The named context; without a name the service account of this pod, or the kubeconfig's current context."""
    return of_this_pod() if context is None and ACCOUNT.joinpath("token").exists() else from_kubeconfig(context)


def of_this_pod(account: Path = ACCOUNT, environment: Mapping[str, str] = os.environ) -> Access:
    """Access by the pod's service account. The token is read for each request, because the kubelet renews it."""
    try:
        host, port = environment["KUBERNETES_SERVICE_HOST"], environment["KUBERNETES_SERVICE_PORT"]
        namespace = account.joinpath("namespace").read_text()
        verify = ssl.create_default_context(cafile=str(account / "ca.crt"))
    except (KeyError, OSError) as error:
        raise Unavailable(f"this is no pod with a token of a service account: {error!r}") from error
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Access(
        server, verify, namespace, "the pod's service account", BearerToken(account / "token"), in_cluster=True
    )


def from_kubeconfig(context: str | None = None, files: Sequence[Path] | None = None) -> Access:
    """Access by a context of the first file that has it; the default files are KUBECONFIG or ~/.kube/config.

    Raises Unavailable, which names the field, if there is no such context or it cannot be used.
    """
    paths = _files() if files is None else list(files)
    config, current = _merged(paths)
    name, contexts = context or current, config["contexts"]
    if name not in contexts:
        asked = f"context {name!r}" if name else "current context"
        known = ", ".join(sorted(contexts)) or "none"
        raise Unavailable(f"no {asked} in {' or '.join(map(str, paths))}; its contexts are: {known}")
    there, where = contexts[name], f"context {name}"
    cluster = _of(config["clusters"], there.get("cluster"), where, "cluster")
    user = _of(config["users"], there.get("user"), where, "user") if there.get("user") else {}
    return Access(
        server=str(cluster["server"]).rstrip("/"),
        verify=_tls(cluster, user, where),
        namespace=there.get("namespace") or "default",
        says=where,
        auth=_auth(cluster, user, where),
        proxy=cluster.get("proxy-url"),
    )


_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def _files() -> list[Path]:
    named = [Path(item) for item in os.environ.get("KUBECONFIG", "").split(os.pathsep) if item]
    return named or [Path.home() / ".kube" / "config"]


def _merged(paths: Sequence[Path]) -> tuple[dict[str, dict[str, dict[str, Any]]], str]:
    """Clusters, users and contexts by name, and the current context. The first entry of a name wins."""
    parts: dict[str, dict[str, dict[str, Any]]] = {"clusters": {}, "users": {}, "contexts": {}}
    current = ""
    for path in paths:
        try:
            content: Any = yaml.safe_load(path.read_text()) if path.exists() else None
        except (OSError, yaml.YAMLError) as error:
            raise Unavailable(f"kubeconfig {path} cannot be read: {error}") from error
        if not isinstance(content, dict):
            continue
        current = current or str(content.get("current-context") or "")
        for plural, known in parts.items():
            for item in content.get(plural) or []:
                value = dict(item.get(plural[:-1]) or {})
                value |= {key: str(path.parent / value[key]) for key in _PATHS if value.get(key)}
                known.setdefault(str(item["name"]), value)
    return parts, current


def _of(known: Mapping[str, dict[str, Any]], name: Any, where: str, what: str) -> dict[str, Any]:
    if name not in known:
        raise Unavailable(f"{where}: its {what} {name!r} is not in the kubeconfig; there are: {', '.join(known)}")
    return known[name]


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], where: str) -> ssl.SSLContext | bool:
    if str(cluster["server"]).startswith("http://"):
        return False
    try:
        authority = cluster.get("certificate-authority-data")
        verify = ssl.create_default_context(
            cafile=cluster.get("certificate-authority"),
            cadata=base64.b64decode(authority).decode() if authority else None,
        )
        if cluster.get("insecure-skip-tls-verify"):
            verify.check_hostname, verify.verify_mode = False, ssl.CERT_NONE
        _load_own(verify, user)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise Unavailable(f"{where}: its certificates cannot be used: {error}") from error
    return verify


def _load_own(verify: ssl.SSLContext, user: Mapping[str, Any]) -> None:
    """Load the client's certificate. OpenSSL reads only files, so inline data is written to a temporary one."""
    with tempfile.TemporaryDirectory(prefix="modelstack-") as folder:
        found: list[str | None] = []
        for name in ("client-certificate", "client-key"):
            path: str | None = user.get(name)
            if user.get(f"{name}-data"):
                place = Path(folder, name)
                place.touch(mode=0o600)
                place.write_bytes(base64.b64decode(user[f"{name}-data"]))
                path = str(place)
            found.append(path)
        certificate, key = found
        if certificate:
            verify.load_cert_chain(certificate, key)


def _auth(cluster: Mapping[str, Any], user: Mapping[str, Any], where: str) -> httpx.Auth | None:
    if user.get("tokenFile"):
        return BearerToken(Path(user["tokenFile"]))
    if user.get("token"):
        return BearerToken(str(user["token"]))
    if user.get("exec"):
        return CommandToken(user["exec"], cluster, where)
    if user.get("username"):
        return httpx.BasicAuth(user["username"], user.get("password") or "")
    if user.get("auth-provider"):
        raise Unavailable(f"{where}: its user has an auth-provider, which Kubernetes no longer knows; use exec")
    return None


class BearerToken(httpx.Auth):
    """A fixed token, or one in a file that is read for each request."""

    def __init__(self, source: str | Path) -> None:
        self._source = source

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the token."""
        try:
            token = self._source.read_text().strip() if isinstance(self._source, Path) else self._source
        except OSError as error:
            raise Unreachable(f"the token cannot be read: {error}") from error
        request.headers["Authorization"] = f"Bearer {token}"
        yield request


class CommandToken(httpx.Auth):
    """A token from an exec plugin, cached until it expires or is refused.

    Source: Kubernetes documentation, "Authenticating", client-go credential plugins.
    """

    def __init__(self, command: Mapping[str, Any], cluster: Mapping[str, Any], where: str) -> None:
        self._version = str(command.get("apiVersion"))
        if self._version not in _EXEC:
            allowed = " or ".join(sorted(_EXEC))
            raise Unavailable(f"{where}: exec.apiVersion: got {self._version!r}, allowed is {allowed}")
        self._words = [str(command["command"]), *map(str, command.get("args") or [])]
        self._environment = {str(item["name"]): str(item["value"]) for item in command.get("env") or []}
        self._spec: dict[str, Any] = {"interactive": False}
        if command.get("provideClusterInfo"):
            self._spec["cluster"] = {
                key: cluster[key] for key in ("server", "certificate-authority-data") if key in cluster
            }
        self._where, self._hint = where, str(command.get("installHint") or "")
        self._token, self._until = "", 0.0
        self._lock = threading.Lock()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the token; retry once with a new one if it is refused."""
        for again in (True, False):
            used = self._now()
            request.headers["Authorization"] = f"Bearer {used}"
            answer = yield request
            if answer.status_code != httpx.codes.UNAUTHORIZED or not again:
                return
            with self._lock:
                self._until = 0.0 if self._token == used else self._until

    def _now(self) -> str:
        with self._lock:
            if not self._token or time() > self._until - _EARLY:
                self._token, self._until = self._asked()
            return self._token

    def _asked(self) -> tuple[str, float]:
        told = {"apiVersion": self._version, "kind": "ExecCredential", "spec": self._spec}
        environment = {**os.environ, **self._environment, "KUBERNETES_EXEC_INFO": json.dumps(told)}
        doing = f"{self._where}: {self._words[0]}, which gives the token,"
        try:
            done = subprocess.run(
                self._words, env=environment, capture_output=True, text=True, timeout=_EXEC_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{doing} cannot be run: {error}. {self._hint}".rstrip()) from error
        if done.returncode:
            raise Unavailable(f"{doing} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        try:
            status = json.loads(done.stdout)["status"]
            end = status.get("expirationTimestamp")
            return str(status["token"]), datetime.fromisoformat(end).timestamp() if end else float("inf")
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"{doing} gave none: {error!r}") from error
