"""Which `kubernetes` plugin local stacks get, and how one is built where the official one cannot be had."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from localcloud.setup import __main__ as command
from localcloud.setup import environments
from localcloud.setup import kubernetesplugin as plugin
from localcloud.setup.environments import Installer
from localcloud.setup.failures import SetupFailed
from localcloud.setup.places import KUBERNETES_MODULE, Places

from .conftest import Machine

VERSION = "4.34.2"
GO = """\
echo "$@" >> {seen}
case "$1 $2" in
"version "*) echo go version go1.99.0 x/y;;
"mod download") test -f go.sum;;
"list -m") echo {published};;
"list -deps") test -f schema.json && test -f terraform-mapping.json && echo one;;
"build "*) while [ "$1" != -o ]; do shift; done; cat schema.json terraform-mapping.json > $2/pulumi-resource-kubernetes
  chmod +x $2/pulumi-resource-kubernetes;;
esac
"""
NO_DOWNLOAD = "echo 'dial tcp: lookup get.pulumi.com: no such host'; exit 255"
DOWNLOAD = """\
folder="$PULUMI_HOME/plugins/resource-$4-v$5"
mkdir -p $folder; echo official > $folder/pulumi-resource-$4; chmod +x $folder/pulumi-resource-$4
"""


@pytest.fixture
def bare(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a Go that pretends to build, and a CLI that cannot download."""
    machine.install("pulumi-kubernetes", VERSION)
    machine.places.state.mkdir()
    published = tmp_path / "published" / "cmd" / plugin.NAME
    published.mkdir(parents=True)
    (published / "schema.json").write_text('{"name": "kubernetes"}')
    (published / "terraform-mapping.json").write_text("{}")
    machine.command("go", GO.format(seen=tmp_path / "seen", published=tmp_path / "published"))
    machine.command("pulumi", NO_DOWNLOAD)
    monkeypatch.delenv("PULUMI_HOME", raising=False)
    monkeypatch.setattr(plugin, "_GIGABYTES", 0)
    return machine


def users_own(machine: Machine) -> Path:
    """Install the official plugin for the user's own CLI."""
    own = machine.home / ".pulumi" / "plugins" / f"resource-kubernetes-v{VERSION}" / plugin.NAME
    own.parent.mkdir(parents=True)
    own.write_text("official")
    own.chmod(0o755)
    return own


def install(machine: Machine) -> bool:
    return plugin.install(machine.places, Installer(machine.places), machine.commands)


def installed(machine: Machine) -> dict[str, Path]:
    folder = machine.places.pulumi_home / "plugins"
    return {made.parent.name: made for made in folder.glob(f"*/{plugin.NAME}")}


def asked_of_go(tmp_path: Path) -> list[str]:
    seen = tmp_path / "seen"
    return [line.split()[0] for line in seen.read_text().splitlines()] if seen.exists() else []


def test_it_is_built_once_and_then_shared_by_checkouts(bare: Machine, tmp_path: Path) -> None:
    assert install(bare)

    (name, made), *more = installed(bare).items()
    assert (name, more) == (f"resource-kubernetes-v{VERSION}", [])
    assert made.readlink() == plugin.built_in(bare.places, VERSION)
    assert made.resolve().is_relative_to(bare.places.cache)
    assert asked_of_go(tmp_path).count("build") == 1

    assert not install(bare)
    made.unlink()
    made.parent.rmdir()
    assert install(bare)
    plugin.build(bare.places, Installer(bare.places), VERSION)  # as a set-up does that has waited for another one
    assert asked_of_go(tmp_path).count("build") == 1


def test_the_schema_that_it_serves_names_the_version_that_it_is_installed_under(bare: Machine) -> None:
    install(bare)

    schema, _ = json.JSONDecoder().raw_decode(plugin.built_in(bare.places, VERSION).read_text())
    assert schema == {"name": "kubernetes", "version": VERSION}


def test_the_users_own_official_plugin_is_taken_and_nothing_is_built(bare: Machine, tmp_path: Path) -> None:
    own = users_own(bare)

    assert install(bare)
    assert not install(bare)
    (made,) = installed(bare).values()
    assert made.readlink() == own
    assert asked_of_go(tmp_path) == []


def test_the_users_own_official_plugin_takes_the_place_of_one_that_was_built(bare: Machine) -> None:
    install(bare)
    own = users_own(bare)

    assert install(bare)
    (made,) = installed(bare).values()
    assert made.readlink() == own


def test_a_plugin_of_the_user_that_was_not_installed_to_the_end_is_not_taken(bare: Machine) -> None:
    own = users_own(bare)
    Path(f"{own.parent}.partial").touch()

    assert plugin.users_own(bare.places, VERSION) is None


def test_the_local_stacks_own_home_does_not_count_as_the_users(bare: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    install(bare)
    monkeypatch.setenv("PULUMI_HOME", str(bare.places.pulumi_home))

    assert plugin.users_own(bare.places, VERSION) is None
    assert not install(bare)


def test_where_the_official_plugin_can_be_downloaded_it_is(bare: Machine, tmp_path: Path) -> None:
    bare.command("pulumi", DOWNLOAD)

    assert install(bare)
    (made,) = installed(bare).values()
    assert (made.read_text(), made.is_symlink()) == ("official\n", False)
    bare.command("pulumi", NO_DOWNLOAD)
    assert not install(bare)
    assert asked_of_go(tmp_path) == []


def test_another_version_of_the_sdk_has_its_plugin_instead(bare: Machine) -> None:
    install(bare)
    bare.install("pulumi-kubernetes", "4.35.0")

    assert install(bare)
    assert list(installed(bare)) == ["resource-kubernetes-v4.35.0"]


def test_a_cache_that_was_emptied_is_filled_again(bare: Machine, tmp_path: Path) -> None:
    install(bare)
    plugin.built_in(bare.places, VERSION).unlink()

    assert install(bare)
    assert plugin.built_in(bare.places, VERSION).exists()
    assert asked_of_go(tmp_path).count("build") == 2


def test_a_major_version_that_the_module_is_not_of_is_refused_before_anything_is_built(
    bare: Machine, tmp_path: Path
) -> None:
    bare.install("pulumi-kubernetes", "5.0.1")

    with pytest.raises(SetupFailed, match=r"pulumi-kubernetes 5\.0\.1.* 4\.x only") as failed:
        install(bare)

    assert "pulumi plugin install resource kubernetes 5.0.1" in failed.value.advice[0]
    assert asked_of_go(tmp_path) == []


def test_an_environment_without_the_sdk_is_refused(bare: Machine) -> None:
    shutil.rmtree(bare.places.venv)

    with pytest.raises(SetupFailed, match=r"pulumi-kubernetes is not installed in .*/\.venv"):
        install(bare)


def test_a_build_that_fails_leaves_no_plugin_and_names_its_log(bare: Machine, tmp_path: Path) -> None:
    script = GO.format(seen=tmp_path / "seen", published=tmp_path / "published")
    bare.command("go", script.replace("cat schema.json", "echo 'undefined: thing'; exit 2; cat schema.json"))

    with pytest.raises(SetupFailed, match="undefined: thing") as failed:
        install(bare)

    assert str(bare.places.logs / "kubernetesplugin.log") in failed.value.advice[-1]
    assert installed(bare) == {}
    assert not plugin.built_in(bare.places, VERSION).exists()


def test_the_module_makes_a_command_of_the_name_that_the_engine_looks_for() -> None:
    lines = (KUBERNETES_MODULE / "go.mod").read_text().splitlines()

    assert lines[0].rpartition("/")[2] == plugin.NAME
    assert any(line.startswith("require github.com/pulumi/pulumi-kubernetes/provider/v4 ") for line in lines)


@pytest.mark.parametrize("words", [["--with", "kubernetes", "--packages-only"], ["--with", "gcp"]])
def test_a_plugin_goes_with_the_engine_and_must_be_a_known_one(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.main(["install", *words])

    assert "--with" in capsys.readouterr().err


def test_the_built_plugin_answers_under_the_version_of_the_locked_sdk() -> None:
    places = Places.here()
    version = environments.installed(places, "pulumi-kubernetes")
    built = plugin.built_in(places, version)
    if not built.exists():
        pytest.skip("the Kubernetes plugin was not built on this machine")
    with subprocess.Popen([built, "127.0.0.1:1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            options = [("grpc.max_receive_message_length", 1 << 26)]
            with grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}", options) as channel:
                provider = provider_pb2_grpc.ResourceProviderStub(channel)
                schema = json.loads(provider.GetSchema(provider_pb2.GetSchemaRequest()).schema)
                assert provider.GetPluginInfo(Empty()).version == version
                assert (schema["name"], schema["version"]) == ("kubernetes", version)
        finally:
            process.kill()
