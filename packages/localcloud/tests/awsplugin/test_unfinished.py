"""A creation that was cut off by a kill is finished by the next; somebody else's resource is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from localcloud.awsplugin.unfinished import Unfinished

GROUP = "aws:cloudwatch/logGroup:LogGroup"
BUCKET = "aws:s3/bucket:Bucket"
MAPPING = "aws:lambda/eventSourceMapping:EventSourceMapping"
URL, URN = "http://127.0.0.1:4566", "urn:pulumi:a::b::c::d"


def test_a_note_stays_until_an_orderly_end(tmp_path: Path) -> None:
    first = Unfinished(tmp_path)
    assert not first.begin(URL, URN)
    assert Unfinished(tmp_path).begin(URL, URN), "as after a kill"
    first.close()
    assert not Unfinished(tmp_path).begin(URL, URN)


def test_a_note_is_of_one_resource_of_one_cloud(tmp_path: Path) -> None:
    notes = Unfinished(tmp_path)
    notes.begin(URL, URN)
    assert not notes.begin(URL, URN + "2")
    assert not notes.begin("http://127.0.0.1:4567", URN)


def test_a_creation_that_made_nothing_leaves_no_note(tmp_path: Path) -> None:
    notes = Unfinished(tmp_path)
    notes.begin(URL, URN)
    notes.drop(URL, URN)
    assert not notes.begin(URL, URN)


def test_a_home_that_cannot_be_written_stops_no_creation(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not Unfinished(tmp_path / "file" / "notes").begin(URL, URN)


@contextmanager
def a_plugin(environ: dict[str, str]) -> Iterator[tuple[int, Callable[[], None]]]:
    """A plugin under a parent of its own: its port, and what kills the parent."""
    code = (
        "import subprocess, sys\n"
        f"command = [{sys.executable!r}, '-m', 'localcloud.awsplugin', '127.0.0.1:1']\n"
        "p = subprocess.Popen(command, stdout=subprocess.PIPE)\n"
        "print(p.pid, p.stdout.readline().decode(), flush=True)\n"
        "p.wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environ)
    assert parent.stdout is not None
    pid, port = map(int, parent.stdout.readline().split())

    def kill() -> None:
        parent.kill()
        parent.wait()
        while running(pid):
            time.sleep(0.05)

    yield port, kill
    if parent.poll() is None:
        os.kill(pid, signal.SIGINT)
        parent.wait(60)


def running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def shell(hosting: Any, shell_of: Any, tmp_path: Path) -> dict[str, str]:
    return {**shell_of(hosting), "PULUMI_HOME": str(tmp_path)}


@pytest.mark.e2e
def test_what_a_killed_creation_made_is_taken_over(world: Any, connect: Any, shell: dict[str, str]) -> None:
    inputs = {"name": f"/{world.name('cut')}", "retentionInDays": 7, "tags": {"a": "b"}}
    with a_plugin(shell) as (port, kill):
        connect(port).create(GROUP, inputs)
        kill()
    with a_plugin(shell) as (port, _):
        made = connect(port).create(GROUP, {**inputs, "retentionInDays": 30, "tags": {"c": "d"}})
        assert (made.state["retentionInDays"], made.state["tags"]) == (30, {"c": "d"}), "as it is wanted now"
        world.made.append(made)


@pytest.mark.e2e
def test_what_a_killed_creation_made_is_found_also_where_its_id_is_the_services_own(
    world: Any, connect: Any, shell: dict[str, str]
) -> None:
    inputs = {"eventSourceArn": world.queue()["arn"], "functionName": world.reader()["name"]}
    with a_plugin(shell) as (port, kill):
        cut = connect(port).create(MAPPING, inputs)
        kill()
    with a_plugin(shell) as (port, _):
        made = connect(port).create(MAPPING, {**inputs, "batchSize": 3})
        world.made.append(made)
        assert (made.ident, made.state["batchSize"]) == (cut.ident, 3)


@pytest.mark.e2e
def test_what_a_killed_creation_made_makes_way_when_it_cannot_become_what_is_wanted(
    world: Any, connect: Any, shell: dict[str, str]
) -> None:
    inputs = {"bucket": world.name("cut")}
    with a_plugin(shell) as (port, kill):
        connect(port).create(BUCKET, inputs)
        kill()
    with a_plugin(shell) as (port, _):
        made = connect(port).create(BUCKET, {**inputs, "objectLockEnabled": True})
        assert made.state["objectLockEnabled"] is True
        world.made.append(made)


@pytest.mark.e2e
def test_a_name_that_somebody_else_took_is_refused(world: Any, connect: Any, shell: dict[str, str]) -> None:
    name = f"/{world.name('taken')}"
    with a_plugin(shell) as (port, _):
        plugin = connect(port)
        world.made.append(plugin.create(GROUP, {"name": name}, "first"))
        with pytest.raises(grpc.RpcError, match="ResourceAlreadyExistsException"):
            plugin.create(GROUP, {"name": name}, "second")
    with a_plugin(shell) as (port, _), pytest.raises(grpc.RpcError, match="ResourceAlreadyExistsException"):
        connect(port).create(GROUP, {"name": name}, "first")  # its creation came to an end
