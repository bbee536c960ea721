"""What an interrupted update leaves behind does not stand in the way of the next."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from modelstack.cli.errors import OperatorError
from modelstack.cli.local.recovery import Lock, locks, mend, recover, settled
from modelstack.cli.local.stack import Done, Stack

HERE = socket.gethostname()


def hold(backend: Path, pid: int, host: str = HERE) -> None:
    folder = backend / ".pulumi" / "locks" / "organization" / "modelstack" / "local"
    folder.mkdir(parents=True, exist_ok=True)
    content = {"pid": pid, "username": "u", "hostname": host, "timestamp": "2026-01-01T00:00:00Z"}
    (folder / f"{uuid.uuid4()}.json").write_text(json.dumps(content))


class Recorded(Stack):
    def __init__(self) -> None:
        super().__init__("local")
        self.__dict__["asked"] = []

    def pulumi(self, *words: str, on_line: Any = None) -> Done:
        self.asked.append(words)
        return Done(0, json.dumps({"deployment": {}}) if words[:2] == ("stack", "export") else "")


def creating(type_name: str, **inputs: str) -> dict[str, Any]:
    urn = f"urn:pulumi:local::modelstack::{type_name}::x"
    return {"type": "creating", "resource": {"urn": urn, "type": type_name, "inputs": inputs}}


def ended_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_a_lock_of_an_ended_process_is_taken_away_and_a_stack_that_ended_well_is_not_touched(tmp_path: Path) -> None:
    stack, well = Recorded(), Recorded()
    recover(well, tmp_path, "modelstack", lambda _: None)
    hold(tmp_path, ended_process())
    recover(stack, tmp_path, "modelstack", lambda _: None)
    assert ("cancel", "--yes", "--stack", "local") in stack.asked
    assert well.asked == [("stack", "export", "--stack", "local")]


def test_a_lock_of_another_machine_is_never_taken_away_and_one_that_is_half_written_is_none(tmp_path: Path) -> None:
    hold(tmp_path, ended_process(), host="another-machine")
    with pytest.raises(OperatorError, match="another-machine"):
        recover(Recorded(), tmp_path, "modelstack", lambda _: None)
    next((tmp_path / ".pulumi").rglob("*.json")).write_text('{"pid": ')
    assert list(locks(tmp_path, "modelstack", "local")) == []


def test_a_process_id_that_another_program_has_now_is_not_an_update() -> None:
    assert Lock(os.getpid(), HERE).stale


def test_an_update_that_is_at_work_is_left_alone_and_named(tmp_path: Path) -> None:
    program = tmp_path / "pulumi"
    program.symlink_to("/bin/sleep")
    running = subprocess.Popen([program, "30"])
    try:
        hold(tmp_path, running.pid)
        stack = Recorded()
        with pytest.raises(OperatorError, match=f"process {running.pid}") as refused:
            recover(stack, tmp_path, "modelstack", lambda _: None)
    finally:
        running.kill()
        running.wait()
    assert f"kill -INT {running.pid}, and the same again" in (refused.value.hint or "")
    assert stack.asked == []


@pytest.mark.parametrize("module", ["modelstack.cli.local.up", "demos.builds"])
def test_an_update_that_make_up_or_pipeline_started_is_stopped_by_one_signal_to_that(
    tmp_path: Path, module: str
) -> None:
    program = tmp_path / "pulumi"
    program.symlink_to("/bin/sleep")
    starts = "import subprocess, sys; held = subprocess.Popen(sys.argv[1:3]); print(held.pid, flush=True); held.wait()"
    words = [sys.executable, "-c", starts, str(program), "30", module]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running:
        held = int(running.stdout.readline())
        try:
            assert Lock(held, HERE).stop == f"kill -INT {running.pid}"
        finally:
            os.kill(held, signal.SIGKILL)


def test_a_create_that_was_cut_off_is_looked_up_where_its_name_decides() -> None:
    role = creating("aws:iam/role:Role", name="flight-delay-local-serving")
    group = creating("aws:sagemaker/modelPackageGroup:ModelPackageGroup", modelPackageGroupName="flight-delay-local")
    there = {"urn": "urn:pulumi:local::modelstack::pulumi:pulumi:Stack::x", "type": "pulumi:pulumi:Stack"}
    state = {
        "version": 3,
        "deployment": {
            "resources": [there],
            "pending_operations": [
                role,
                group,
                creating("pulumi-python:dynamic:Resource"),
                creating("aws:kms/key:Key", description="its id is the service's choice"),
                {"type": "updating", "resource": there},
            ],
        },
    }
    right = settled(state)
    assert "pending_operations" not in right["deployment"]
    assert [resource.get("id") for resource in right["deployment"]["resources"]] == [
        None,
        "flight-delay-local-serving",
        "flight-delay-local",
    ]
    assert right["deployment"]["resources"][1]["inputs"] == role["resource"]["inputs"]
    assert len(state["deployment"]["resources"]) == 1  # the state that was read is left as it is


def test_a_replacement_that_was_cut_off_does_not_come_into_the_state_twice() -> None:
    role = creating("aws:iam/role:Role", name="new")
    old = {**role["resource"], "id": "old"}
    right = settled({"deployment": {"resources": [old], "pending_operations": [role]}})
    assert right["deployment"]["resources"] == [old]


def test_a_half_written_file_of_the_backend_is_removed_and_whole_ones_are_kept(tmp_path: Path) -> None:
    stacks = tmp_path / ".pulumi" / "stacks" / "modelstack"
    stacks.mkdir(parents=True)
    for name, content in (("local.json.attrs", ""), ("other.json.attrs", '{"md5": "x"}'), ("local.json", "{")):
        (stacks / name).write_text(content)
    assert [file.name for file in mend(tmp_path)] == ["local.json.attrs"]
    assert sorted(file.name for file in stacks.iterdir()) == ["local.json", "other.json.attrs"]
