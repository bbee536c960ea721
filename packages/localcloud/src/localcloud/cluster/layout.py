"""Where everything of a cluster lies, and which addresses it has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NAMESPACE = "localcluster"
"""The network namespace that the node is; its folder in /run has that name, too."""
LINK = "localcluster0"
"""The machine's end of the cable into it."""
NODE, MACHINE = "10.99.0.1", "10.99.0.254"
"""The node's address, and that of the machine at the other end."""
PODS, SERVICES = "10.244.0.0/16", "10.96.0.0/16"
API_SERVICE, DNS_SERVICE = "10.96.0.1", "10.96.0.10"
DOMAIN = "cluster.local"
NODE_NAME = "node1"
API_URL = f"https://{NODE}:6443"
REGISTRY = f"{NODE}:5000"
"""The registry that the node pulls from, and that the machine pushes to, by plain HTTP."""
PROMETHEUS, ALERTMANAGER, DATABASE = f"{NODE}:9090", f"{NODE}:9093", f"{NODE}:5432"
DATABASE_NAME = "localcluster"
RUN = Path("/run") / NAMESPACE
"""Sockets, and what else is gone with the cluster: a socket's path has to be short."""
MOST_CHARACTERS = 60
"""Of the state folder's path: the kubelet has sockets below it, and a socket's path has 107 at most."""


@dataclass(frozen=True)
class Layout:
    """The folders of a cluster.

    Attributes:
        state: Everything of it, of mode 0700.
    """

    state: Path

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        """A file a process."""
        return self.state / "logs"

    @property
    def configs(self) -> Path:
        """What the processes are told by files."""
        return self.state / "configs"

    @property
    def containerd(self) -> Path:
        """What containerd keeps: images and containers."""
        return self.state / "containerd"

    @property
    def socket(self) -> Path:
        """Where containerd listens."""
        return RUN / "containerd.sock"

    @property
    def database(self) -> Path:
        """PostgreSQL's data."""
        return self.state / "postgresql"

    @property
    def rules(self) -> Path:
        """Prometheus reads every `*.yml` here; whoever has root may put files there."""
        return self.state / "rules"

    @property
    def alertmanager(self) -> Path:
        """The configuration of Alertmanager, which `alert_routes` writes."""
        return self.state / "alertmanager.yml"

    @property
    def targets(self) -> Path:
        """Which pods Prometheus scrapes."""
        return self.state / "prometheus-targets.json"

    @property
    def kubeconfig(self) -> Path:
        """By which a person administers the cluster."""
        return self.state / "kubeconfig"

    def kubeconfig_of(self, name: str) -> Path:
        """By which one of the cluster's own programs asks the API server."""
        return self.configs / f"{name}.kubeconfig"
