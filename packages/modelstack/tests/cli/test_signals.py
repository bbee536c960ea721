"""A command that is told to stop, with what it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[4]
STUBBORN = "trap '' INT; sleep 300 & sleep 300 & echo $$ >{0}.new; mv {0}.new {0}; while :; do sleep 0.1; done"
STOPPING = "\nstopping what is under way; Ctrl-C again stops at once\n"
COMMAND = """
import sys
from modelstack.cli.error_handling import run
from modelstack.cli.local.stack import Stack

def body(console):
    console.print("begun")
    if sys.argv[1:] == ["talk"]:
        while True:
            console.print("still here")
    Stack("local").pulumi("up")
    return 0

sys.exit(run(body, stopped="go on from here."))
"""


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    for process in psutil.process_iter(["cmdline"]):
        if any(str(tmp_path) in word for word in process.info["cmdline"] or ()):
            process.kill()


def until(path: Path) -> None:
    while not path.exists():
        time.sleep(0.02)


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    me = psutil.Process(process.pid)
    return [me, *me.children(recursive=True)]


def running(started: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended; init may take a while to bury the others."""
    left = []
    for one in started:
        try:
            left += [one] if one.is_running() and one.status() != psutil.STATUS_ZOMBIE else []
        except psutil.NoSuchProcess:
            continue
    return left


def stubborn(tmp_path: Path) -> Path:
    """A `pulumi` that takes no notice of SIGINT, and has children."""
    command = tmp_path / "pulumi"
    command.write_text("#!/bin/sh\n" + STUBBORN.format(tmp_path / "ready"))
    command.chmod(0o755)
    return tmp_path / "ready"


def start(tmp_path: Path, *words: str, patience: str = "(0.3, 0.3)") -> subprocess.Popen[str]:
    program = f"import modelstack.cli.signals\nmodelstack.cli.signals.terminate.__defaults__ = ({patience},)\n{COMMAND}"
    return subprocess.Popen(
        [sys.executable, "-c", program, *words],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_one_signal_ends_a_command_and_all_that_it_started_without_a_traceback(
    tmp_path: Path, number: int, code: int
) -> None:
    ready = stubborn(tmp_path)
    process = start(tmp_path)
    until(ready)
    started = family(process)
    assert len(started) >= 4
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (code, STOPPING)
    assert output.split("\n\n")[-1] == "stopped; go on from here.\n"
    assert running(started) == []


def test_a_second_ctrl_c_waits_for_nothing(tmp_path: Path) -> None:
    ready = stubborn(tmp_path)
    process = start(tmp_path, patience="(600, 600)")
    until(ready)
    started = family(process)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    assert process.communicate()[1] == STOPPING
    assert running(started) == []


def test_a_command_whose_reader_has_gone_stops_quietly(tmp_path: Path) -> None:
    process = start(tmp_path, "talk")
    assert process.stdout.readline() == "begun\n"
    process.stdout.close()
    assert process.wait(timeout=60) == 130
    assert process.stderr.read() == STOPPING


def test_a_reader_that_is_stopped_by_the_same_ctrl_c_is_no_second_one(tmp_path: Path) -> None:
    ready = stubborn(tmp_path)
    process = start(tmp_path)
    until(ready)
    started = family(process)
    process.stdout.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert process.stderr.read() == STOPPING
    assert running(started) == []
