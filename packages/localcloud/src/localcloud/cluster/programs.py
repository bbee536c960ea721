"""The programs of a cluster, as data: what each is called, run with, and who it is to the API server."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcloud.cluster.layout import (
    ALERTMANAGER,
    API_SERVICE,
    LINK,
    MACHINE,
    NAMESPACE,
    NODE,
    NODE_NAME,
    PODS,
    PROMETHEUS,
    RUN,
    SERVICES,
    Layout,
)
from localcloud.cluster.pki import Authority, Identity

_ETCD = "http://127.0.0.1:2379"
DATABASE_FOLDER = RUN / "postgresql"
"""Where the user `postgres` reaches the database's folder, which lies below folders that only root enters."""

API_SERVER = Identity(
    "apiserver", "kube-apiserver", hosts=(
        NODE, "127.0.0.1", API_SERVICE, "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ),
)  # fmt: skip
KUBELET_SERVER = Identity("kubelet-server", f"system:node:{NODE_NAME}", hosts=(NODE, NODE_NAME))
TO_KUBELET = Identity("apiserver-to-kubelet", "kube-apiserver-kubelet-client")
ADMIN = Identity("admin", "admin", ("system:masters",))
CLIENTS = (
    Identity("controller-manager", "system:kube-controller-manager"),
    Identity("scheduler", "system:kube-scheduler"),
    Identity("kubelet", f"system:node:{NODE_NAME}", ("system:nodes",)),
    Identity("proxy", "system:kube-proxy"),
)
"""The cluster's own programs that ask the API server: each has a kubeconfig of that name."""
DISCOVERY = Identity("prometheus", "prometheus")


@dataclass(frozen=True)
class Program:
    """A process that runs in the node's network namespace.

    Attributes:
        name: Of its log.
        command: Program and arguments.
        after_api: Whether it starts only when the API server is ready.
        user: Who runs it.
    """

    name: str
    command: tuple[str, ...]
    after_api: bool = False
    user: str = "root"


def programs(layout: Layout, binaries: Mapping[str, Path], authority: Authority, database: Path) -> tuple[Program, ...]:
    """All of them, in the order in which they start. Certificates that they need are made.

    Args:
        layout: Where everything lies.
        binaries: Name -> path of what was built.
        authority: Signs.
        database: The folder of PostgreSQL's programs.
    """
    authority.issue(DISCOVERY)
    return (
        _etcd(layout),
        _api_server(binaries, authority),
        Program("registry", ("docker-registry", "serve", str(layout.configs / "registry.yml"))),
        Program("containerd", ("containerd", f"--config={layout.configs / 'containerd.toml'}")),
        *_monitoring(layout),
        _postgresql(database),
        _watcher("discovery", layout, layout.targets),
        _watcher("rule-files", layout, layout.rules),
        _watcher("alert-routes", layout, layout.alertmanager),
        *_control_plane(layout, binaries, authority),
        *_node(layout, binaries),
    )


def _etcd(layout: Layout) -> Program:
    return Program(
        "etcd",
        (
            "etcd", f"--data-dir={layout.state / 'etcd'}", f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}", "--listen-peer-urls=http://127.0.0.1:2380", "--logger=zap",
        ),
    )  # fmt: skip


def _api_server(binaries: Mapping[str, Path], authority: Authority) -> Program:
    public, private = authority.account_key()
    serving, serving_key = authority.issue(API_SERVER)
    asking, asking_key = authority.issue(TO_KUBELET)
    ca = authority.certificate
    return Program(
        "apiserver",
        (
            str(binaries["kube-apiserver"]), f"--etcd-servers={_ETCD}", f"--advertise-address={NODE}",
            "--secure-port=6443", f"--client-ca-file={ca}", f"--tls-cert-file={serving}",
            f"--tls-private-key-file={serving_key}", f"--kubelet-client-certificate={asking}",
            f"--kubelet-client-key={asking_key}", f"--kubelet-certificate-authority={ca}",
            "--kubelet-preferred-address-types=InternalIP", f"--service-cluster-ip-range={SERVICES}",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={public}",
            f"--service-account-signing-key-file={private}", "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction", "--anonymous-auth=false", "--allow-privileged=true",
            "--profiling=false",
        ),
    )  # fmt: skip


def _monitoring(layout: Layout) -> tuple[Program, ...]:
    return (
        Program(
            "prometheus",
            (
                "prometheus", f"--config.file={layout.configs / 'prometheus.yml'}",
                f"--storage.tsdb.path={layout.state / 'prometheus'}", f"--web.listen-address={PROMETHEUS}",
                # For seconds after a reload it knows of no Alertmanager, and it says a thing again after a minute.
                "--web.enable-lifecycle", "--rules.alert.resend-delay=10s",
            ),
        ),
        Program(
            "alertmanager",
            (
                "prometheus-alertmanager", f"--config.file={layout.alertmanager}",
                f"--storage.path={layout.state / 'alertmanager'}", f"--web.listen-address={ALERTMANAGER}",
                "--cluster.listen-address=",
            ),
        ),
    )  # fmt: skip


def _postgresql(database: Path) -> Program:
    return Program(
        "postgresql",
        (
            str(database / "postgres"), "-D", str(DATABASE_FOLDER), "-c", f"listen_addresses={NODE}",
            "-c", "unix_socket_directories=",
        ),
        user="postgres",
    )  # fmt: skip


def _watcher(name: str, layout: Layout, target: Path) -> Program:
    """A program of ours that keeps a file or folder as the API server's objects say."""
    module = f"localcloud.cluster.{name.replace('-', '_')}"
    return Program(name, (sys.executable, "-m", module, str(layout.pki), str(target)), after_api=True)


def _control_plane(layout: Layout, binaries: Mapping[str, Path], authority: Authority) -> tuple[Program, ...]:
    _, private = authority.account_key()
    return (
        Program(
            "controller-manager",
            (
                str(binaries["kube-controller-manager"]), f"--kubeconfig={layout.kubeconfig_of('controller-manager')}",
                "--bind-address=127.0.0.1", f"--service-account-private-key-file={private}",
                f"--root-ca-file={authority.certificate}", "--use-service-account-credentials=true",
                "--leader-elect=false", "--profiling=false",
            ),
            after_api=True,
        ),
        Program(
            "scheduler",
            (
                str(binaries["kube-scheduler"]), f"--kubeconfig={layout.kubeconfig_of('scheduler')}",
                "--bind-address=127.0.0.1", "--leader-elect=false", "--profiling=false",
            ),
            after_api=True,
        ),
    )  # fmt: skip


def _node(layout: Layout, binaries: Mapping[str, Path]) -> tuple[Program, ...]:
    return (
        Program(
            "kubelet",
            (
                str(binaries["kubelet"]), f"--kubeconfig={layout.kubeconfig_of('kubelet')}",
                f"--config={layout.configs / 'kubelet.yaml'}", f"--root-dir={layout.state / 'kubelet'}",
                f"--cert-dir={layout.state / 'kubelet' / 'pki'}", f"--hostname-override={NODE_NAME}",
                f"--node-ip={NODE}",
            ),
            after_api=True,
        ),
        Program(
            "proxy",
            (
                str(binaries["kube-proxy"]), f"--kubeconfig={layout.kubeconfig_of('proxy')}",
                f"--hostname-override={NODE_NAME}", "--proxy-mode=iptables", "--conntrack-max-per-core=0",
                f"--cluster-cidr={PODS}",
            ),
            after_api=True,
        ),
    )  # fmt: skip


def inside(*command: str) -> tuple[str, ...]:
    """A command that runs in the node's network; `ip netns exec` would hide the control groups."""
    return ("nsenter", f"--net=/run/netns/{NAMESPACE}", *command)


def network() -> tuple[tuple[str, ...], ...]:
    """The commands that make the namespace, the cable into it, the ways through it, and the door.

    The door: nobody but this machine begins a connection into it, also where the machine forwards for others.
    """
    peer = "eth0"
    node = ("ip", "-n", NAMESPACE)
    return (
        ("ip", "netns", "add", NAMESPACE),
        (*node, "link", "set", "lo", "up"),
        ("ip", "link", "add", LINK, "type", "veth", "peer", "name", peer, "netns", NAMESPACE),
        inside(
            "iptables", "-t", "mangle", "-A", "PREROUTING", "-i", peer, "!", "-s", MACHINE,
            "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP",
        ),
        ("ip", "addr", "add", f"{MACHINE}/24", "dev", LINK),
        ("ip", "link", "set", LINK, "up"),
        (*node, "addr", "add", f"{NODE}/24", "dev", peer),
        (*node, "link", "set", peer, "up"),
        (*node, "route", "add", "default", "via", MACHINE),
        *(("ip", "route", "add", net, "via", NODE) for net in (PODS, SERVICES)),
        inside("sysctl", "-qw", "net.ipv4.ip_forward=1"),
    )  # fmt: skip
