"""Asks the API server, as its administrator: whether it is ready, and through kubectl for all the rest."""

from __future__ import annotations

import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from localcloud.cluster.layout import API_URL, Layout
from localcloud.setup.failures import SetupFailed

_OWNER = "localcluster"
"""The field manager of what is applied here."""


class Api:
    """The API server of a cluster.

    Args:
        layout: Where the cluster's files are.
        kubectl: The program.
    """

    def __init__(self, layout: Layout, kubectl: Path) -> None:
        self._layout, self._kubectl = layout, kubectl

    def ready(self) -> bool:
        """Whether it answers, and says that it is ready."""
        pki = self._layout.pki
        if not (pki / "admin.crt").exists():
            return False
        trust = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        trust.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        direct, https = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        opener = urllib.request.build_opener(direct, https)
        try:
            with opener.open(f"{API_URL}/readyz", timeout=2) as answered:
                return answered.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def kubectl(self, *words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl, whatever comes of it."""
        return subprocess.run(
            [self._kubectl, "--kubeconfig", self._layout.kubeconfig, "--request-timeout=30s", *words],
            input=given, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def apply(self, *words: str, given: str | None = None, what: str) -> None:
        """Apply objects on the server's side.

        Args:
            words: More of the command, such as `-f` and a path.
            given: Its standard input.
            what: The objects, as a failure says it.

        Raises:
            SetupFailed: The API server refused.
        """
        words = (*words, *(() if given is None else ("-f", "-")))
        apply = ("apply", "--server-side", f"--field-manager={_OWNER}", "--force-conflicts")
        done = self.kubectl(*apply, *words, given=given)
        if done.returncode:
            raise SetupFailed(f"The API server refused {what}:\n    {done.stderr.strip()}")

    def wait(self, *words: str, seconds: int, what: str) -> None:
        """Wait for objects, as `kubectl wait` or `kubectl rollout status` has it.

        Raises:
            SetupFailed: It took too long.
        """
        done = subprocess.run(
            [self._kubectl, "--kubeconfig", self._layout.kubeconfig, *words, f"--timeout={seconds}s"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            said = self.kubectl("get", "pods", "--all-namespaces").stdout.rstrip().replace("\n", "\n    ")
            raise SetupFailed(
                f"After {seconds} s {what} is not ready: {done.stderr.strip()}\n    {said}", f"See {self._layout.logs}"
            )
