"""Environments follow the locks, and what is there already is left alone."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from localcloud.setup import environments
from localcloud.setup.environments import Installer
from localcloud.setup.exclusive import exclusive
from localcloud.setup.places import own_checkout

from .conftest import Machine

UV = """
echo "$@" >>"{log}"
case $1 in
--version) echo uv 9.9.9 ;;
venv) for last; do :; done; mkdir -p "$last/bin"; ln -sf "{python}" "$last/bin/python" ;;
esac
"""


@pytest.fixture
def uv(machine: Machine) -> Path:
    """A uv on PATH that notes what it is asked for; it makes environments, and installs nothing into them."""
    log = machine.home / "uv.log"
    machine.command("uv", UV.format(log=log, python=sys.executable))
    return log


def installs(log: Path) -> list[str]:
    """What was installed: the lock's name, or `project`."""
    lines = [line for line in log.read_text().splitlines() if line.startswith("pip install")]
    return [Path(line).name if line.endswith(".txt") else "project" for line in lines]


def test_packages_are_installed_by_hash_and_the_project_without_any(machine: Machine, uv: Path) -> None:
    assert environments.project(machine.places, Installer(machine.places), "app")

    asked = uv.read_text()
    assert f"--require-hashes -r {machine.places.lock('app')}" in asked
    assert "--no-deps --no-build-isolation --reinstall-package sample --reinstall-package localcloud-ml" in asked
    assert f" -e {machine.places.root} -e {own_checkout()}" in asked


def test_the_packages_of_the_projects_workspace_are_installed_with_it(machine: Machine, uv: Path) -> None:
    root = machine.places.root
    (root / "packages" / "library").mkdir(parents=True)
    (root / "packages" / "notes").mkdir()
    (root / "packages" / "library" / "pyproject.toml").write_text('[project]\nname = "of-the-team"\nversion = "1"\n')
    with (root / "pyproject.toml").open("a") as file:
        file.write('[tool.uv.workspace]\nmembers = ["packages/*"]\n')
    environments.project(machine.places, Installer(machine.places), "app")

    asked = uv.read_text()
    assert "--reinstall-package sample --reinstall-package of-the-team --reinstall-package localcloud-ml" in asked
    assert f" -e {root} -e {root / 'packages' / 'library'} -e {own_checkout()}" in asked


def test_of_a_project_with_a_library_group_that_is_installed_and_not_the_project(machine: Machine, uv: Path) -> None:
    with (machine.places.root / "pyproject.toml").open("a") as file:
        file.write('[dependency-groups]\nlibrary = ["of-others==1"]\n')
    assert environments.project(machine.places, Installer(machine.places), "app")
    lock, library, rest = [line for line in uv.read_text().splitlines() if line.startswith("pip install")]
    assert lock.endswith("app.txt") and library.endswith("--no-deps --group library")
    assert f"-e {own_checkout()}" in rest and f"-e {machine.places.root}" not in rest
    assert not environments.project(machine.places, Installer(machine.places), "app")


def test_what_uv_leaves_behind_is_removed(machine: Machine, uv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = machine.home / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    leaves = '[ "$1" = --version ] || touch "$TMPDIR/uv.lock"\n'
    machine.command("uv", leaves + UV.format(log=uv, python=sys.executable))

    environments.project(machine.places, Installer(machine.places), "app")

    assert installs(uv) == ["app.txt", "project"]
    assert list(scratch.iterdir()) == []


def test_a_second_time_does_nothing(machine: Machine, uv: Path) -> None:
    environments.project(machine.places, Installer(machine.places), "app")
    uv.unlink()

    assert not environments.project(machine.places, Installer(machine.places), "app")
    assert not uv.exists()


def test_a_changed_lock_is_installed_and_nothing_else_is_made_anew(machine: Machine, uv: Path) -> None:
    environments.project(machine.places, Installer(machine.places), "app")
    uv.unlink()
    with machine.places.lock("app").open("a") as lock:
        lock.write("# changed\n")

    assert environments.project(machine.places, Installer(machine.places), "app")
    assert installs(uv) == ["app.txt", "project"]
    assert "venv" not in uv.read_text().replace(str(machine.places.venv), "")


def test_the_larger_set_stays_when_the_smaller_one_is_asked_for(machine: Machine, uv: Path) -> None:
    environments.project(machine.places, Installer(machine.places), "dev")
    uv.unlink()
    assert not environments.project(machine.places, Installer(machine.places), "app")

    with machine.places.lock("dev").open("a") as lock:
        lock.write("# changed\n")
    environments.project(machine.places, Installer(machine.places), "app")
    assert installs(uv) == ["dev.txt", "project"]


def test_an_install_that_was_cut_off_is_done_again(machine: Machine, uv: Path) -> None:
    machine.command("uv", UV.format(log=uv, python=sys.executable) + '[ "$2" = install ] && exit 1\nexit 0')
    with pytest.raises(environments.SetupFailed):
        environments.project(machine.places, Installer(machine.places), "app")
    machine.command("uv", UV.format(log=uv, python=sys.executable))
    uv.unlink()

    assert environments.project(machine.places, Installer(machine.places), "app")
    assert installs(uv) == ["app.txt", "project"]


def test_an_environment_whose_python_has_gone_is_made_anew(machine: Machine, uv: Path) -> None:
    environments.project(machine.places, Installer(machine.places), "app")
    machine.places.python.unlink()
    machine.places.python.symlink_to("/no/such/python")
    uv.unlink()

    environments.project(machine.places, Installer(machine.places), "app")

    assert "venv --quiet --clear" in uv.read_text()
    assert environments.works(machine.places.python)


def test_a_cached_environment_is_made_once_for_two_at_once(machine: Machine, uv: Path) -> None:
    machine.command("uv", "sleep 0.2\n" + UV.format(log=uv, python=sys.executable))
    made: list[Path] = []

    def make() -> None:
        made.append(environments.cached(machine.places, Installer(machine.places), machine.places.lock("peer")))

    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(made)) == 1 and len(made) == 3
    assert installs(uv) == ["peer.txt"]


def test_a_policy_pack_gets_an_environment_of_its_own_and_keeps_it(machine: Machine, uv: Path) -> None:
    installer = Installer(machine.places)
    assert not environments.policy_pack(machine.places, installer), "there is no pack"

    pack = machine.places.root / "policy"
    pack.mkdir()
    (pack / "PulumiPolicy.yaml").touch()
    lock = machine.places.lock("policy")
    lock.write_text("pulumi-policy==1.21.0 \\\n    --hash=sha256:0\n")
    assert environments.policy_pack(machine.places, installer)
    assert (pack / ".venv").resolve() == machine.places.cached(lock)
    assert installs(uv) == ["policy.txt"]
    assert not environments.policy_pack(machine.places, installer)

    lock.write_text("pulumi-policy==1.21.1 \\\n    --hash=sha256:0\n")
    assert environments.policy_pack(machine.places, installer)
    assert (pack / ".venv").resolve() == machine.places.cached(lock)


def test_who_waits_for_a_lock_is_told_for_whom(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    lock = machine.home / "lock"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from localcloud.setup.exclusive import exclusive\n"
            "with exclusive(Path(sys.argv[1]), 'it'): print('held', flush=True); sys.stdin.read()",
            str(lock),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"

    entered = threading.Event()

    def enter() -> None:
        with exclusive(lock, "the cache"):
            entered.set()

    waiting = threading.Thread(target=enter)
    waiting.start()
    told, end = "", time.monotonic() + 60
    while f"(process {holder.pid}) is at work on the cache" not in told and time.monotonic() < end:
        time.sleep(0.02)
        told += capsys.readouterr().err
    too_early = entered.is_set()
    holder.communicate()
    waiting.join()

    assert f"(process {holder.pid}) is at work on the cache" in told
    assert not too_early


def test_a_lock_of_a_killed_process_is_free(machine: Machine) -> None:
    lock = machine.home / "lock"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from localcloud.setup.exclusive import exclusive\n"
            "with exclusive(Path(sys.argv[1]), 'it'): print('held', flush=True); time.sleep(60)",
            str(lock),
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    holder.kill()
    holder.wait()

    with exclusive(lock, "it"):
        assert lock.exists()
