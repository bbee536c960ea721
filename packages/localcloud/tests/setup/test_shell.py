"""What `env` prints points a client at the local stack, and at nothing else."""

from __future__ import annotations

import json
import subprocess

import pytest

from localcloud import process
from localcloud.__main__ import main
from localcloud.server import credentials
from localcloud.setup import SetupFailed, shell

from .conftest import Machine


@pytest.fixture
def ready(machine: Machine) -> Machine:
    """A machine whose set-up chose a CLI."""
    machine.command("pulumi", "exit 0")
    machine.places.record.parent.mkdir(parents=True)
    machine.places.record.write_text(json.dumps({"engine": str(machine.commands)}))
    return machine


def evaluated(machine: Machine, environ: dict[str, str]) -> dict[str, str]:
    """The environment of a POSIX shell after `eval`."""
    script = f"{shell.exports(machine.places, environ)}\nenv -0"
    ran = subprocess.run(["/bin/sh", "-c", script], env=environ, capture_output=True, text=True, check=True)
    return dict(entry.split("=", 1) for entry in ran.stdout.split("\0") if entry)


def test_a_shell_gets_what_pulumi_and_aws_clients_need(ready: Machine) -> None:
    got = evaluated(ready, {"PATH": "/usr/bin:/bin", "AWS_PROFILE": "work", "PULUMI_ACCESS_TOKEN": "pul-x"})

    assert got["PATH"] == f"{ready.commands}:{ready.places.venv}/bin:/usr/bin:/bin"
    assert got["PULUMI_BACKEND_URL"] == f"file://{ready.places.root}/.sample/pulumi"
    assert got["PULUMI_HOME"] == f"{ready.places.root}/.sample/pulumi-home"
    assert got["PULUMI_CONFIG_PASSPHRASE"]
    assert got["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert got["AWS_REGION"] == got["AWS_DEFAULT_REGION"] == "us-east-1"
    keys = credentials.of(ready.places.server_record.parent)
    assert (got["AWS_ACCESS_KEY_ID"], got["AWS_SECRET_ACCESS_KEY"]) == (keys.access_key_id, keys.secret_access_key)
    assert "AWS_PROFILE" not in got and "PULUMI_ACCESS_TOKEN" not in got


def test_only_a_running_cloud_has_an_environment_to_eval(
    ready: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ready.places.root)
    state = ready.places.server_record.parent
    for account in ([], ["--account", "222222222222"]):
        assert main(["env", *account]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert f"no local cloud runs in {ready.places.root}" in said.err and "`localcloud start`" in said.err
    assert not state.exists(), "nothing was made, no keys either"

    state.mkdir(parents=True)
    with process.hold(state) as lock:
        process.sign(lock, 1)
        assert main(["env"]) == 0
    assert "export AWS_ENDPOINT_URL=" in capsys.readouterr().out


def test_a_cluster_alone_has_an_environment_too(
    ready: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ready.places.root)
    ready.places.cluster.mkdir(parents=True)
    network = {"path": str(ready.home), "inode": ready.home.stat().st_ino}
    ready.places.cluster_access.write_text(json.dumps({"network": network, "variables": {"KUBECONFIG": "/there"}}))

    assert main(["env"]) == 0
    assert "export KUBECONFIG=/there" in capsys.readouterr().out


def test_the_cli_is_told_of_the_projects_policy_pack_if_there_is_one(ready: Machine) -> None:
    assert shell.POLICY_PACK not in evaluated(ready, {"PATH": "/usr/bin:/bin"})

    pack = ready.places.root / "policy"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").touch()
    assert evaluated(ready, {"PATH": "/usr/bin:/bin"})[shell.POLICY_PACK] == str(pack)


def test_a_shell_of_another_account_has_the_keys_of_its_root(ready: Machine) -> None:
    script = shell.exports(ready.places, {"PATH": "/usr/bin:/bin"}, "222222222222")
    keys = credentials.of(ready.places.server_record.parent, "222222222222")

    assert f"export AWS_ACCESS_KEY_ID={keys.access_key_id}\n" in script
    assert keys != credentials.of(ready.places.server_record.parent)
    with pytest.raises(SetupFailed, match="account is 'prod', expected 12 digits"):
        shell.exports(ready.places, {"PATH": "/usr/bin"}, "prod")


def test_a_second_eval_changes_nothing(ready: Machine) -> None:
    once = evaluated(ready, {"PATH": "/usr/bin:/bin"})

    assert evaluated(ready, once)["PATH"] == once["PATH"]


def test_folders_with_blanks_and_quotes_survive_the_shell(machine: Machine) -> None:
    odd = machine.home / 'it\'s a "cli" $HOME'
    odd.mkdir()
    (odd / "pulumi").touch()
    machine.places.record.parent.mkdir(parents=True)
    machine.places.record.write_text(json.dumps({"engine": str(odd)}))

    assert evaluated(machine, {"PATH": "/usr/bin:/bin"})["PATH"].startswith(f"{odd}:")


def test_the_running_cloud_says_where_it_is(ready: Machine) -> None:
    assert shell.endpoint(ready.places, {"LOCALCLOUD_PORT": "4577"}) == "http://127.0.0.1:4577"

    ready.places.server_record.parent.mkdir(parents=True, exist_ok=True)
    ready.places.server_record.write_text(json.dumps({"url": "http://127.0.0.1:5001", "pid": 1}))
    assert shell.endpoint(ready.places, {"LOCALCLOUD_PORT": "4577"}) == "http://127.0.0.1:5001"


def test_the_region_is_that_of_the_projects_cloud(ready: Machine) -> None:
    (ready.places.root / "localcloud.toml").write_text('region = "eu-west-1"\n')
    found = shell.variables(ready.places, {"PATH": "/usr/bin"})
    assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "eu-west-1"

    (ready.places.root / "localcloud.toml").write_text('region = "there"\n')
    with pytest.raises(SetupFailed, match="region is 'there', expected a region such as us-east-1"):
        shell.variables(ready.places, {"PATH": "/usr/bin"})

    ready.places.server_record.parent.mkdir(parents=True, exist_ok=True)
    ready.places.server_record.write_text(json.dumps({"url": "http://127.0.0.1:5001", "region": "us-west-2"}))
    assert shell.variables(ready.places, {"PATH": "/usr/bin"})["AWS_REGION"] == "us-west-2"  # it runs with another file


def test_a_proxy_is_not_used_for_the_machine_itself(ready: Machine) -> None:
    behind = {"PATH": "/usr/bin", "HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "corp.example"}

    assert shell.variables(ready.places, behind)["NO_PROXY"] == "127.0.0.1,localhost,corp.example"
    assert "NO_PROXY" not in shell.variables(ready.places, {"PATH": "/usr/bin"})
