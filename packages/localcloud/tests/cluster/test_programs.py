"""How the programs of a cluster are run, and what they are told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from localcloud.cluster import binaries, configs, machine, processes
from localcloud.cluster.layout import MOST_CHARACTERS, NODE, Layout
from localcloud.cluster.pki import Authority
from localcloud.cluster.programs import ADMIN, CLIENTS, Program, network, programs


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "cluster")


@pytest.fixture
def wanted(layout: Layout) -> dict[str, Program]:
    built = binaries.provided(Path("/cache")).programs
    listed = programs(layout, built, Authority(layout.pki), Path("/usr/lib/postgresql/15/bin"))
    return {program.name: program for program in listed}


def test_nobody_is_let_in_without_a_name(wanted: dict[str, Program], layout: Layout) -> None:
    assert {"--anonymous-auth=false", "--authorization-mode=Node,RBAC"} <= set(wanted["apiserver"].command)
    assert not [word for program in wanted.values() for word in program.command if "insecure" in word]
    told = yaml.safe_load(configs.kubelet(layout, Path("ca"), Path("crt"), Path("key")))
    assert not told["authentication"]["anonymous"]["enabled"]
    assert told["authorization"]["mode"] == "Webhook"


def test_etcd_listens_to_its_own_namespace_alone(wanted: dict[str, Program]) -> None:
    listens = [word for word in wanted["etcd"].command if "--listen" in word]
    assert listens
    assert all("://127.0.0.1:" in word for word in listens)


def test_each_client_has_a_kubeconfig_of_its_own_and_none_is_the_administrator(
    wanted: dict[str, Program], layout: Layout
) -> None:
    assert ADMIN.groups == ("system:masters",)
    assert not [client for client in CLIENTS if "system:masters" in client.groups]
    for client in CLIENTS:
        assert f"--kubeconfig={layout.kubeconfig_of(client.name)}" in wanted[client.name].command


def test_what_asks_the_api_server_starts_after_it(wanted: dict[str, Program]) -> None:
    early = [name for name, program in wanted.items() if not program.after_api]
    assert early[:2] == ["etcd", "apiserver"]
    assert not {client.name for client in CLIENTS} & set(early)


def test_a_kubeconfig_holds_all_that_it_takes(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    told = yaml.safe_load(configs.kubeconfig("https://x", authority.certificate, *authority.issue(ADMIN)))
    assert told["clusters"][0]["cluster"]["server"] == "https://x"
    assert set(told["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}
    assert str(tmp_path) not in json.dumps(told)


def test_no_program_outside_of_the_network_reaches_the_node(wanted: dict[str, Program]) -> None:
    door = next(words for words in network() if "iptables" in words)
    assert door[door.index("!") : door.index("!") + 3] == ("!", "-s", "10.99.0.254")
    assert door[-2:] == ("-j", "DROP")
    made = [words for words in network() if "addr" in words and f"{NODE}/24" in words]
    assert network().index(door) < network().index(made[0]), "shut before there is anything to reach"


def test_another_argument_or_another_file_is_another_version(tmp_path: Path) -> None:
    file = tmp_path / "config"
    first = processes.version_of(Program("p", ("p",)), [file])
    file.write_text("a")
    second = processes.version_of(Program("p", ("p",)), [file])
    file.write_text("b")
    third = processes.version_of(Program("p", ("p",)), [file])
    other = processes.version_of(Program("p", ("p", "-v")), [file])
    assert len({first, second, third, other}) == 4


def test_a_program_that_was_built_with_other_versions_or_flags_lies_elsewhere(tmp_path: Path) -> None:
    made = next(made for made in binaries.ALL if made.module == "kubernetes")
    flags = binaries.Made(made.what, made.module, made.packages, made.gigabytes, "-s")
    assert made.place(tmp_path) == made.place(tmp_path) != flags.place(tmp_path)
    assert {"kube-apiserver", "kubelet", "kubectl"} <= set(made.commands)


def test_a_pod_gets_its_cable_and_its_address_from_the_nodes_range(layout: Layout) -> None:
    cable = json.loads(configs.network(layout))["plugins"][0]
    assert (cable["type"], cable["ipMasq"]) == ("ptp", False), "a pod sees who asks it"
    assert cable["ipam"]["ranges"] == [[{"subnet": "10.244.0.0/16"}]]


def test_what_a_machine_lacks_is_said_before_anything_is_changed(
    monkeypatch: pytest.MonkeyPatch, layout: Layout
) -> None:
    monkeypatch.setattr(machine.platform, "system", lambda: "Darwin")
    assert machine.unfit(layout) == "it takes Linux, and this is Darwin"
    monkeypatch.setattr(machine.platform, "system", lambda: "Linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert machine.unfit(layout) == "it takes root, for network namespaces and containers"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine, "answer", lambda words: None)
    assert "may not make network namespaces" in machine.unfit(layout)
    monkeypatch.setattr(machine, "answer", lambda words: "")
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    assert "docker-registry" in machine.unfit(layout)
    assert "no apt-get" in machine.unfit(layout)


def test_a_state_folder_that_is_too_deep_for_sockets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine, "answer", lambda words: "")
    monkeypatch.setattr(machine.shutil, "which", lambda name: f"/usr/bin/{name}")
    deep = Layout(Path("/") / ("d" * MOST_CHARACTERS))
    assert f"more than {MOST_CHARACTERS} characters" in machine.unfit(deep)
    assert not machine.unfit(Layout(deep.state.with_name("d" * (MOST_CHARACTERS - 1))))
