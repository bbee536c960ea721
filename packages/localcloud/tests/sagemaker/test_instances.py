"""Instances whose process cannot be started: whoever waits is told why, and they are started once they can be."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from localcloud.sagemaker.child import Child
from localcloud.sagemaker.images import Program
from localcloud.sagemaker.instance import Instance, InstanceFailed, InstanceSetup

from .conftest import SHORT

QUICK = replace(SHORT, backoff=0.01)


def the_interpreter_is_gone(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(folder / "gone" / "python"))


def the_folder_is_gone(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "code").rmdir()


def the_commands_own_interpreter_is_gone(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "serve").unlink()
    (folder / "serve").write_text(f"#!{folder}/gone/interpreter\n")
    (folder / "serve").chmod(0o755)


def the_command_is_gone(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "serve").unlink()


def the_machine_has_no_memory_for_another_process(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    async def fork(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", fork)


@pytest.mark.parametrize(
    ("trouble", "cause"),
    [
        (the_interpreter_is_gone, "gone/python"),
        (the_commands_own_interpreter_is_gone, "No such file or directory: .*serve"),
        (the_command_is_gone, "No such file or directory: .*serve"),
        (the_folder_is_gone, "No such file or directory: .*code"),
        (the_machine_has_no_memory_for_another_process, "Cannot allocate memory"),
    ],
)
def test_a_process_that_cannot_be_started_is_given_up_with_the_cause(monkeypatch, tmp_path, caplog, trouble, cause):
    (tmp_path / "code").mkdir()
    (tmp_path / "serve").symlink_to(sys.executable)
    heard: list[str] = []

    async def scenario() -> None:
        trouble(monkeypatch, tmp_path)
        instance = Instance(setup_in(tmp_path / "code", heard.append, str(tmp_path / "serve")))
        with pytest.raises(InstanceFailed, match=f"could not run a container, in 3 attempts: .*{cause}") as failed:
            await asyncio.wait_for(instance.ready(), 30)
        assert "variant" not in str(failed.value)  # a rollout blames the release whose variant is named
        await instance.stop(0)

    asyncio.run(scenario())
    assert caplog.text.count("instance i-1 of variant v cannot run: ") == len(heard) == 3


def test_what_cannot_be_ended_does_not_end_the_care_for_an_instance(monkeypatch, tmp_path, caplog):
    async def end(self: Child, grace: float) -> None:
        await self._process.wait()
        raise FileNotFoundError("docker")

    monkeypatch.setattr(Child, "end", end)

    async def scenario() -> None:
        instance = Instance(setup_in(tmp_path, print))
        with pytest.raises(InstanceFailed, match="exited with code 7 3 times before"):
            await asyncio.wait_for(instance.ready(), 30)
        await instance.stop(0)

    asyncio.run(scenario())
    assert "instance i-1 of variant v could not be ended: docker" in caplog.text


def setup_in(folder: Path, output: Callable[[str], None], command: str = sys.executable) -> InstanceSetup:
    """An instance whose program ends at once."""
    program = Program((command, "-c", "import sys; sys.exit(7)"), {}, folder)
    return InstanceSetup("i-1", "v", lambda _: program, output, 100, QUICK)
