"""The configuration files of a cluster's programs, as text."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import yaml

from localcloud.cluster.layout import ALERTMANAGER, DNS_SERVICE, DOMAIN, NAMESPACE, PODS, REGISTRY, RUN, Layout


def kubeconfig(server: str, authority: Path, certificate: Path, key: Path) -> str:
    """A kubeconfig of one user; everything is in the file, so that it can be copied.

    Args:
        server: URL of the API server.
        authority: The certificate of who signed that of the server.
        certificate: The user's.
        key: The user's.
    """
    text = {"certificate-authority": authority, "client-certificate": certificate, "client-key": key}
    data = {f"{name}-data": base64.b64encode(path.read_bytes()).decode() for name, path in text.items()}
    trusted = data.pop("certificate-authority-data")
    return _yaml(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": NAMESPACE, "cluster": {"server": server, "certificate-authority-data": trusted}},
            ],
            "users": [{"name": NAMESPACE, "user": data}],
            "contexts": [{"name": NAMESPACE, "context": {"cluster": NAMESPACE, "user": NAMESPACE}}],
            "current-context": NAMESPACE,
        }
    )


def kubelet(layout: Layout, authority: Path, certificate: Path, key: Path) -> str:
    """The KubeletConfiguration.

    The node shares its machine with other work, whose control groups it may not arrange: so it makes none of its own
    for the classes of pods. Without these, Kubernetes 1.34 ends with a nil pointer when it resizes a pod in place.
    Images are not cleared away: a disk that others fill is no reason to.
    """
    settings: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificate),
        "tlsPrivateKeyFile": str(key),
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": DOMAIN,
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "featureGates": {"InPlacePodVerticalScaling": False},
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "registryPullQPS": 0,
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "containerRuntimeEndpoint": f"unix://{layout.socket}",
        "resolvConf": str(layout.configs / "resolv.conf"),
        "podLogsDir": str(layout.state / "pod-logs"),
        "volumePluginDir": str(layout.state / "volume-plugins"),
    }
    return _yaml(settings)


def containerd(layout: Layout, pause: str) -> str:
    """The config.toml.

    Args:
        layout: Where it lies.
        pause: The image that holds a pod's namespaces.
    """
    return f'''version = 2
root = "{layout.containerd}/root"
state = "{RUN}/containerd"
[grpc]
  address = "{layout.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{RUN}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{layout.configs}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{layout.configs}/certs.d"
'''


def plain_registry() -> str:
    """The hosts.toml of the cluster's own registry, which speaks HTTP, as nobody but this machine can reach it."""
    return f'server = "http://{REGISTRY}"\n[host."http://{REGISTRY}"]\n  capabilities = ["pull", "resolve"]\n'


def network(layout: Layout) -> str:
    """The network of the pods: a cable each, routed and not masked, so that a pod sees who asks it.

    There is no bridge: what two pods say through a service then passes the node's tables both ways.
    """
    addresses = {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]}
    cable = {"type": "ptp", "ipMasq": False, "ipam": {**addresses, "dataDir": str(RUN / "addresses")}}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "0.4.0", "name": NAMESPACE, "plugins": [cable, ports]})


def registry(layout: Layout) -> str:
    """The config.yml of Debian's docker-registry."""
    return _yaml(
        {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(layout.state / "registry")}, "delete": {"enabled": True}},
            "http": {"addr": REGISTRY},
        }
    )


def prometheus(layout: Layout) -> str:
    """The prometheus.yml: the pods that `discovery` finds, each 5 s."""
    return _yaml(
        {
            "global": {"scrape_interval": "5s", "scrape_timeout": "4s", "evaluation_interval": "5s"},
            "rule_files": [f"{layout.rules}/*.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [ALERTMANAGER]}]}]},
            "scrape_configs": [{"job_name": "pods", "file_sd_configs": [{"files": [str(layout.targets)]}]}],
        }
    )


def alertmanager() -> str:
    """The first alertmanager.yml, which tells nobody."""
    return _yaml({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]})


def names() -> str:
    """The Corefile: the names of services and pods, and none of the world outside, which no pod reaches."""
    return f""".:53 {{
    errors
    health
    ready
    cache 5
    loadbalance
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        ttl 5
    }}
}}
"""


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False)
