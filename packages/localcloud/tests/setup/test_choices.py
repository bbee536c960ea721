"""Which tools set-up takes, and where it puts things."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from localcloud.__main__ import main as command
from localcloud.language import VERSION, bundle
from localcloud.setup import engine, environments, golang, index
from localcloud.setup.environments import Installer
from localcloud.setup.failures import SetupFailed
from localcloud.setup.places import ENGINE_MODULE, Places
from localcloud.setup.shell import PORT

from .conftest import Machine


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v3.274.1", (3, 274, 1)),
        ("uv 0.13.9 (x86_64-unknown-linux-gnu)", (0, 13, 9)),
        ("go 1.26", (1, 26)),
        ("warning: none", ()),
        (None, ()),
    ],
)
def test_versions_are_read_from_what_programs_say(text: str | None, version: tuple[int, ...]) -> None:
    assert environments.version_of(text) == version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26, 8)),
        ("go version go1.27 darwin/arm64", (1, 27, 0)),
        ("go version devel go1.28-abc", (1, 28, 0)),
        (None, ()),
    ],
)
def test_gos_version_is_read_from_what_it_says(text: str | None, version: tuple[int, ...]) -> None:
    assert golang.go_version(text)[:3] == version


def official(machine: Machine, version: str, *, with_host: bool = True) -> None:
    machine.command("pulumi", f"echo v{version}")
    if with_host:
        machine.command(bundle.NAMES[0], "exit 0")


def test_a_recent_cli_on_path_is_taken_with_its_own_host(machine: Machine) -> None:
    official(machine, "3.300.0")
    before = sorted(machine.commands.iterdir())

    assert engine.choose(machine.places, Installer(machine.places)) == machine.commands
    assert sorted(machine.commands.iterdir()) == before


@pytest.mark.parametrize("version", ["3.249.9", "2.99.0", "nonsense"])
def test_an_older_cli_on_path_is_not_taken(machine: Machine, version: str) -> None:
    official(machine, version)

    assert engine.on_path(machine.places) is None


def test_a_cli_without_a_host_for_python_is_not_taken(machine: Machine) -> None:
    official(machine, "3.300.0", with_host=False)

    assert engine.on_path(machine.places) is None


def test_our_own_cli_on_path_does_not_count_as_the_users(machine: Machine) -> None:
    ours = machine.places.engine
    ours.mkdir(parents=True)
    (ours / "pulumi").write_text(f"#!/bin/sh\necho v{VERSION}\n")
    (ours / "pulumi").chmod(0o755)

    assert engine.on_path(machine.places, f"{ours}:/usr/bin") is None
    official(machine, "3.300.0")
    assert engine.on_path(machine.places, f"{ours}:{machine.commands}") == machine.commands


def test_a_cli_that_was_built_is_not_built_again_and_is_given_the_host(machine: Machine) -> None:
    machine.command("go", "exit 1")  # it would fail
    machine.places.engine.mkdir(parents=True)
    (machine.places.engine / "pulumi").write_text("#!/bin/sh\n")

    for _ in range(2):
        assert engine.choose(machine.places, Installer(machine.places)) == machine.places.engine

    names = {file.name for file in machine.places.engine.iterdir()}
    assert names == {"pulumi", *bundle.NAMES}


def test_a_host_that_is_in_use_is_not_changed_by_a_newer_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = tmp_path / "bin"
    beside.mkdir()
    assert bundle.install(beside)
    assert not bundle.install(beside)
    (first,) = tmp_path.glob("host-*")
    files = {file: file.read_bytes() for file in first.rglob("*") if file.is_file()}

    monkeypatch.setattr(bundle, "_MAIN", "print('newer')\n")
    assert bundle.install(beside)

    assert {file: file.read_bytes() for file in files} == files
    assert len(list(tmp_path.glob("host-*"))) == 2
    assert f"{first.name}/" not in (beside / bundle.NAMES[0]).read_text()


def test_the_engines_module_is_the_one_whose_protocol_the_host_speaks() -> None:
    assert f"github.com/pulumi/pulumi/pkg/v3 v{VERSION}" in (ENGINE_MODULE / "go.mod").read_text()


def test_the_cache_is_where_the_user_wants_it(machine: Machine) -> None:
    home, root = {"HOME": "/home/me"}, machine.places.root

    assert Places.of(root, home).cache == Path("/home/me/.cache/sample")
    assert Places.of(root, {**home, "XDG_CACHE_HOME": "/far"}).cache == Path("/far/sample")
    assert Places.of(root, {**home, "XDG_CACHE_HOME": "relative"}).cache == Path("/home/me/.cache/sample")


def test_another_lock_is_another_cached_environment(machine: Machine) -> None:
    lock = machine.places.lock("peer")
    before = machine.places.cached(lock)
    lock.write_text(f"{lock.read_text()}# changed\n")

    assert machine.places.cached(lock) != before


def test_the_plugins_version_is_that_of_the_installed_sdk(machine: Machine) -> None:
    machine.install("pulumi-aws", "7.51.1")

    assert environments.installed(machine.places, "pulumi-aws") == "7.51.1"


def test_a_project_is_found_upwards_and_needs_no_pyproject(tmp_path: Path) -> None:
    inner = tmp_path / "infra" / "more"
    inner.mkdir(parents=True)
    (tmp_path / "Pulumi.yaml").touch()

    found = Places.around(inner)

    assert (found.root, found.state) == (tmp_path, tmp_path / ".localcloud")
    assert found.cache.name == "localcloud"
    assert found.venv == Path(sys.prefix)


def test_a_pyproject_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project\n")

    with pytest.raises(SetupFailed, match=f"{tmp_path}/pyproject.toml is not valid TOML: .*line 1"):
        Places.of(tmp_path)


def test_pips_registry_is_told_to_uv() -> None:
    listed = "\n".join(
        (
            "global.index-url='https://mirror.example/simple'",
            "global.cert='/etc/ca.pem'",
            "install.find-links='/wheels\\n/more'",
            ":env:.index-url='https://other.example/simple'",
        )
    )

    assert index.for_uv({}, listed) == {
        "UV_DEFAULT_INDEX": "https://other.example/simple",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "UV_FIND_LINKS": "/wheels,/more",
    }


def test_what_is_told_to_uv_already_beats_pips_configuration() -> None:
    listed = "global.index-url='https://mirror.example/simple'"

    assert index.for_uv({"UV_DEFAULT_INDEX": "https://mine.example"}, listed) == {}
    assert index.for_uv({"UV_INDEX_URL": "https://mine.example"}, listed) == {}
    assert index.for_uv({}, "") == {}


def test_a_python_that_is_too_old_is_refused_in_one_line() -> None:
    pretends = "import sys; sys.version_info, sys.version = (3, 10, 4), '3.10.4 (main)'; import localcloud.setup"
    ran = subprocess.run([sys.executable, "-c", pretends], capture_output=True, text=True, check=False)
    told = f"error: {sys.executable} is Python 3.10.4: expected 3.11 or newer; name one, as in make PYTHON=/path/to/"
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert ran.stderr.startswith(told)


def test_the_help_and_the_readme_begin_with_the_port(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command(["--help"])
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for text in (capsys.readouterr().out, readme):
        assert f"http://127.0.0.1:{PORT}" in "".join(text.splitlines(keepends=True)[:5])
