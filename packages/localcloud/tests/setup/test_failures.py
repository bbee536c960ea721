"""Each failure of set-up says what is missing and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcloud.setup import __main__ as command
from localcloud.setup import commands, engine, environments
from localcloud.setup.environments import Installer
from localcloud.setup.failures import SetupFailed, explain

from .conftest import Machine


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("error: Failed to fetch: `https://x/simple/uv/`\n  dns error: failed to lookup address", "cannot be reached"),
        ("dial tcp: lookup proxy.golang.org: no such host", "cannot be reached"),
        ("HTTP status client error (403 Forbidden) for url (https://x)", "refused"),
        ("write /tmp/x: no space left on device", "no space left"),
        ("error: Hash mismatch for `boto3==1`", "not the one that the lock names"),
        ("verifying module: checksum mismatch", "not the one that the lock names"),
        ("invalid peer certificate: UnknownIssuer", "certificate is not trusted"),
        ("No solution found when resolving dependencies", "does not exist for this machine"),
        ("[Errno 30] Read-only file system: '/x'", "read-only"),
    ],
)
def test_a_known_cause_is_named_with_something_to_do(output: str, cause: str) -> None:
    failure = explain(output, "Installing", Path("/logs/install.log"))

    assert cause in str(failure)
    assert len(failure.advice) >= 2
    assert "/logs/install.log" in failure.advice[-1]


def test_an_unknown_cause_is_shown_by_the_last_lines_of_the_output() -> None:
    failure = explain("\n".join(f"line {n}" for n in range(20)), "Building", Path("/logs/x.log"))

    assert "line 19" in str(failure) and "line 2\n" not in str(failure)


def test_a_failed_command_leaves_its_output_in_a_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "x.log"

    with pytest.raises(SetupFailed, match="exit code 3"):
        commands.run(["sh", "-c", "echo out; echo err >&2; exit 3"], what="Trying", log=log)

    assert log.read_text().splitlines()[1:] == ["out", "err"]


def test_a_missing_program_is_a_failure_and_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match="Trying failed"):
        commands.run(["no-such-program"], what="Trying", log=tmp_path / "x.log")


def test_too_little_space_is_found_before_anything_begins(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match="GB are free") as failed:
        commands.require_space(tmp_path / "not" / "yet", 1e9, "Building")

    assert "XDG_CACHE_HOME" in failed.value.advice[0]


def test_a_failed_build_names_its_log_and_leaves_nothing_half_made(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.command(
        "go", 'case $1 in version) echo go version go1.99.0 x/y;; *) echo "undefined: thing"; exit 2;; esac'
    )
    monkeypatch.setattr(engine, "_GIGABYTES", 0)

    with pytest.raises(SetupFailed, match="undefined: thing") as failed:
        engine.choose(machine.places, Installer(machine.places))

    assert str(machine.places.logs / "engine.log") in failed.value.advice[-1]
    assert list(machine.places.engine.iterdir()) == []


def test_without_a_cli_go_or_registry_all_three_are_named(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.command("uv", 'case $1 in --version) echo uv 9.9.9;; *) echo "dns error"; exit 2;; esac')
    machine.command("go", "echo go version go1.2.3 x/y")  # too old
    monkeypatch.setattr(engine, "_GIGABYTES", 0)

    with pytest.raises(SetupFailed) as failed:
        engine.choose(machine.places, Installer(machine.places))

    assert "no Pulumi CLI from 3.250" in str(failed.value).replace("There is ", "")
    assert "no Go from 1.26" in str(failed.value)
    assert "cannot be reached" in str(failed.value)


def test_an_environment_that_was_not_finished_is_not_taken_for_one(machine: Machine) -> None:
    machine.command(
        "uv", "case $1 in --version) echo uv 9.9.9;; venv) for d; do :; done; mkdir -p $d/bin;; *) exit 2;; esac"
    )

    with pytest.raises(SetupFailed):
        environments.cached(machine.places, Installer(machine.places), machine.places.lock("peer"))

    assert [file.name for file in machine.places.cache.iterdir() if "peer-" in file.name] == []


def test_the_environment_of_a_checkout_that_was_not_set_up_cannot_be_printed(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for typed, told in (("", "localcloud start"), ("make READY", "make READY")):
        monkeypatch.setenv("LOCALCLOUD_SETUP", typed)
        assert command.main(["--root", str(machine.places.root), "env"]) == 1

        said = capsys.readouterr()
        assert said.out == ""
        assert f"Run the project's set-up, `{told}`." in said.err


def test_a_folder_that_cannot_be_written_is_named(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.places.state.write_text("in the way")

    assert command.main(["--root", str(machine.places.root), "install"]) == 1

    assert str(machine.places.state) in capsys.readouterr().err
