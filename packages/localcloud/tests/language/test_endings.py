"""A plugin ends with its engine: quietly, at once, and with all that it started."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localcloud.language import bundle

from .conftest import Project

pytestmark = pytest.mark.e2e

_PATIENCE_S = 60.0  # for what ends at once, on a machine that is busy with other things
_TGKILL = {"x86_64": 234, "aarch64": 131}.get(os.uname().machine)
WAITS = """
import pathlib, subprocess, time

child = subprocess.Popen(["sleep", "1000"])
pathlib.Path("child").write_text(str(child.pid))
try:
    pathlib.Path("started").touch()
    time.sleep(1000)
finally:
    pathlib.Path("cleaned").touch()
"""


@pytest.mark.parametrize("name", bundle.NAMES)
def test_sigint_ends_it_without_a_word(start_host: Callable[..., Any], name: str) -> None:
    with start_host(name) as host:
        os.killpg(host.process.pid, signal.SIGINT)
        assert host.process.wait(_PATIENCE_S) == 0
        assert host.process.stderr.read() == b""


@pytest.mark.parametrize("name", bundle.NAMES)
def test_sigint_ends_it_although_a_shell_had_it_ignored(start_host: Callable[..., Any], name: str) -> None:
    with start_host(name, before=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) as host:
        os.killpg(host.process.pid, signal.SIGINT)
        assert host.process.wait(_PATIENCE_S) == 0


@pytest.mark.parametrize("name", bundle.NAMES)
def test_sigint_ends_it_whichever_thread_gets_the_signal(start_host: Callable[..., Any], name: str) -> None:
    assert _TGKILL is not None, "add this machine's number of the system call tgkill"
    with start_host(name) as host:
        time.sleep(0.5)  # the main thread has come to rest
        threads = sorted(int(task.name) for task in Path(f"/proc/{host.process.pid}/task").iterdir())
        ctypes.CDLL(None, use_errno=True).syscall(_TGKILL, host.process.pid, threads[-1], signal.SIGINT)
        assert host.process.wait(_PATIENCE_S) == 0


@pytest.mark.parametrize("name", bundle.NAMES)
def test_it_ends_when_a_killed_engine_lets_go_of_its_stdin(start_host: Callable[..., Any], name: str) -> None:
    with start_host(name) as host:
        host.process.stdin.close()
        assert host.process.wait(_PATIENCE_S) == 0


def test_ctrl_c_interrupts_a_program_which_may_clean_up(project: Project) -> None:
    project.write(main=WAITS)
    process = project.start("up", "--yes", "--skip-preview", process_group=0)
    wait_for(project.folder / "started")

    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)

    assert process.returncode != 0
    assert (project.folder / "cleaned").exists()
    assert "Traceback" not in output and "KeyboardInterrupt" not in output
    assert gone(int((project.folder / "child").read_text()))


def test_nothing_outlives_an_engine_that_was_killed(project: Project) -> None:
    project.write(main=WAITS)
    process = project.start("up", "--yes", "--skip-preview")
    wait_for(project.folder / "started")
    children = [int(pid) for pid in subprocess.check_output(["pgrep", "-P", str(process.pid)], text=True).split()]
    assert children

    process.kill()
    process.wait()

    for pid in (*children, int((project.folder / "child").read_text())):
        assert gone(pid), f"process {pid} runs on"


def wait_for(file: Path) -> None:
    """Wait until a file is there."""
    for _ in range(2400):
        if file.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{file} did not appear")


def gone(pid: int) -> bool:
    """Tell whether a process has ended, within a minute."""
    for _ in range(1200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False
