"""A whole cluster: up, used as one uses a cluster, broken, mended, down."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Generator
from pathlib import Path
from string import Template

import pytest

from localcloud.cluster import binaries
from localcloud.setup.environments import Installer

from .conftest import Box, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

_APP = Template(Path(__file__).with_name("app.yaml").read_text())


@pytest.fixture(scope="module")
def cluster(box: Box) -> Box:
    """One that is up."""
    up = box.cluster("up")
    assert up.returncode == 0, up.stderr
    return box


@pytest.fixture(scope="module")
def app(cluster: Box) -> Generator[str]:
    """A program of two pods behind a gateway, from an image that was pushed; the gateway's address."""
    envoy = binaries.provide(cluster.places, Installer(cluster.places)).programs["envoy"]
    reference = cluster.ask("push", envoy, "/usr/local/bin/envoy")
    assert "@sha256:" in reference
    cluster.kubectl("apply", "-f", "-", given=_APP.substitute(image=reference))
    cluster.kubectl("rollout", "status", "deployment/app", "-n", "app", "--timeout=180s")
    cluster.kubectl("wait", "gateway/app", "-n", "app", "--for=condition=Programmed", "--timeout=180s")
    yield cluster.kubectl("get", "gateway/app", "-n", "app", "-o", "jsonpath={.status.addresses[0].value}")


def test_the_node_is_ready_and_so_is_all_that_comes_with_it(cluster: Box) -> None:
    status = cluster.cluster("status")
    assert (status.returncode, status.stdout) == (0, "cluster: ready on https://10.99.0.1:6443\n")
    pods = json.loads(cluster.kubectl("get", "pods", "-A", "-o", "json"))["items"]
    assert {pod["status"]["phase"] for pod in pods} <= {"Running", "Succeeded"}


def test_nobody_is_let_in_without_a_certificate(cluster: Box) -> None:
    code = (
        "import ssl; ssl._create_default_https_context = ssl._create_unverified_context; import urllib.request as u\n"
    )
    code += "try: u.urlopen('https://10.99.0.1:6443/api')\nexcept u.HTTPError as e: print(e.code)"
    assert cluster.run("python3", "-c", code).stdout == "401\n"


def test_the_gateways_controller_may_not_read_what_it_has_no_use_for(cluster: Box) -> None:
    account = "--as=system:serviceaccount:envoy-gateway-system:envoy-gateway"
    may = ["get", "httproutes.gateway.networking.k8s.io"], ["create", "pods"], ["get", "roles"], ["delete", "services"]
    kubectl = binaries.provided(cluster.places.cache).programs["kubectl"]
    asked = (kubectl, "--kubeconfig", cluster.layout.kubeconfig, "auth", "can-i", "-A", account)
    assert [cluster.run(*asked, *words).stdout.strip() for words in may] == ["yes", "no", "no", "no"]


def test_a_pod_by_digest_answers_at_its_service_and_at_the_gateway(cluster: Box, app: str) -> None:
    service = cluster.kubectl("get", "service/app", "-n", "app", "-o", "jsonpath={.spec.clusterIP}")
    assert cluster.ask("get", f"http://{service}:8080/") == "200 hello"
    eventually(lambda: cluster.ask("get", f"http://{app}:8080/") == "200 hello", "the route")


def test_a_service_has_a_name_and_the_world_outside_has_none(cluster: Box, app: str) -> None:
    service = cluster.kubectl("get", "service/app", "-n", "app", "-o", "jsonpath={.spec.clusterIP}")
    assert cluster.ask("resolve", "app.app.svc.cluster.local", "10.96.0.10") == service
    assert cluster.ask("resolve", "elsewhere.example.org", "10.96.0.10") == "nothing"


def test_logs_and_commands_reach_a_pod(cluster: Box, app: str) -> None:
    assert "starting main dispatch loop" in cluster.kubectl("logs", "deployment/app", "-n", "app")
    version = cluster.kubectl("exec", "deployment/app", "-n", "app", "--", "/usr/local/bin/envoy", "--version")
    assert "1.40" in version


def test_prometheus_scrapes_pods_that_ask_for_it(cluster: Box, app: str) -> None:
    def scraped() -> bool:
        status, _, said = cluster.ask("get", "http://10.99.0.1:9090/api/v1/query?query=up").partition(" ")
        rows = json.loads(said)["data"]["result"] if status == "200" else []
        up = [row["metric"]["namespace"] for row in rows if row["value"][1] == "1"]
        return up.count("app") == 2 and "envoy-gateway-system" in up

    eventually(scraped, "Prometheus scrapes the two pods and the gateway's Envoy")


def test_a_rule_in_the_folder_fires_at_alertmanager(cluster: Box) -> None:
    rule = {"alert": "Always", "expr": "vector(1)"}
    (cluster.layout.rules / "one.yml").write_text(json.dumps({"groups": [{"name": "one", "rules": [rule]}]}))
    prometheus = "import urllib.request as u; u.urlopen(u.Request('http://10.99.0.1:9090/-/reload', method='POST'))"
    assert cluster.run("python3", "-c", prometheus).returncode == 0
    eventually(lambda: "Always" in cluster.ask("get", "http://10.99.0.1:9093/api/v2/alerts"), "the alert fires")


def test_the_database_takes_its_user_and_nobody_without_the_password(cluster: Box) -> None:
    words = (shlex.split(line)[1] for line in cluster.cluster("env").stdout.splitlines())
    exports = dict(word.split("=", 1) for word in words)
    url = exports["LOCALCLUSTER_DATABASE"]
    assert cluster.run("psql", "-Atc", "select current_database()", url).stdout == "localcluster\n"
    password = url.split(":")[2].split("@")[0]
    refused = cluster.run("psql", "-Atc", "select 1", url.replace(password, "wrong"))
    assert refused.returncode
    assert "password authentication failed" in refused.stderr


def test_a_neighbour_of_the_machine_does_not_come_in(cluster: Box) -> None:
    for words in (
        "ip netns add neighbour",
        "ip link add outside type veth peer name eth0 netns neighbour",
        "ip addr add 203.0.113.1/24 dev outside",
        "ip link set outside up",
        "ip -n neighbour addr add 203.0.113.2/24 dev eth0",
        "ip -n neighbour link set eth0 up",
        "ip -n neighbour route add default via 203.0.113.1",
        "sysctl -qw net.ipv4.ip_forward=1",
    ):
        assert cluster.run(*words.split()).returncode == 0, words
    inside = Path(__file__).with_name("inside.py")
    tried = cluster.run("ip", "netns", "exec", "neighbour", "python3", inside, "connects", "10.99.0.1:6443")
    assert tried.stdout == "no\n"
    assert cluster.ask("connects", "10.99.0.1:6443") == "yes", "the machine itself comes in"
    cluster.run("ip", "netns", "del", "neighbour")


def test_another_checkout_is_told_whose_cluster_runs(cluster: Box, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\n')
    refused = cluster.cluster("--root", tmp_path, "up")
    assert refused.returncode == 1
    assert f"the cluster of another checkout: its state is in {cluster.layout.state}" in refused.stderr
    assert "not running; that of" in cluster.cluster("--root", tmp_path, "status").stdout
    assert cluster.cluster("--root", tmp_path, "down").returncode == 0
    assert cluster.cluster("status").returncode == 0, "what is not one's own is not ended"


def test_a_program_that_is_killed_is_named_and_started_again(cluster: Box, app: str) -> None:
    wrong = cluster.cluster("kill", "etcd", "nonsense")
    assert wrong.returncode == 1
    assert "'nonsense' is no program of the cluster: it has etcd, apiserver" in wrong.stderr
    assert cluster.cluster("status").returncode == 0, "a wrong name ends nothing"
    assert cluster.cluster("kill", "etcd", "discovery").returncode == 0
    status = cluster.cluster("status")
    assert (status.returncode, status.stdout) == (1, "cluster: etcd, discovery ended; `up` starts what is missing\n")
    before = cluster.programs()
    assert cluster.cluster("up").returncode == 0
    assert before < cluster.programs(), "nothing else is touched"
    assert len(cluster.programs() - before) == 2


def test_its_network_is_looked_for_where_the_command_runs_whatever_the_machine_has(cluster: Box) -> None:
    asks = (sys.executable, "-c", "from localcloud.cluster import node; print(node.linked())")
    assert cluster.run(*asks).stdout == "True\n"
    assert cluster.run("unshare", "--net", *asks).stdout == "False\n"


def test_what_was_killed_is_mended_and_what_was_in_it_is_still_there(cluster: Box, app: str) -> None:
    ended, names = cluster.marked(), cluster.names()
    for pid in ended:  # shims and all: containers lose whoever looks after them
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not cluster.marked(), "they end")
    assert cluster.cluster("status").returncode != 0
    up = cluster.cluster("up")
    assert up.returncode == 0, up.stderr
    # A short call may run beside them, and PostgreSQL takes its time after a kill.
    eventually(lambda: cluster.names() == names, "each program runs once", 240)
    cluster.kubectl("rollout", "status", "deployment/app", "-n", "app", "--timeout=180s")
    eventually(lambda: cluster.ask("get", f"http://{app}:8080/") == "200 hello", "the gateway answers again")


def test_down_leaves_nothing(cluster: Box, app: str) -> None:
    ids = [place.name for place in Path("/sys/fs/cgroup").glob("**/k8s.io/*") if place.is_dir()]
    before = cluster.run("ctr", "--address", "/run/localcluster/containerd.sock", "-n", "k8s.io", "tasks", "ls", "-q")
    ours = before.stdout.split()
    assert ours
    assert set(ours) <= set(ids)
    assert cluster.cluster("down").returncode == 0
    assert not cluster.marked()
    assert not [place for place in Path("/sys/fs/cgroup").glob("**/k8s.io/*") if place.name in ours]
    assert cluster.run("ip", "netns", "list").stdout == ""
    assert "localcluster0" not in cluster.run("ip", "link").stdout
    assert not cluster.layout.state.exists()
    assert cluster.run("ls", "/run/localcluster").returncode
    assert cluster.run("ls", "/run/containerd/s").stdout == ""
    assert not [path for path in Path("/var/lib/cni").glob("results/*") if any(one in path.name for one in ours)]
    assert not [path for path in Path("/var/log/containers").glob("*") if any(one in path.name for one in ours)]
    assert str(cluster.places.root) not in cluster.run("cat", "/proc/self/mountinfo").stdout
    assert cluster.cluster("status").stdout == "cluster: not running\n"
