"""`python -m localcloud start`, `stop`, `status`: what a person types, and what may be in the way."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localcloud import process
from localcloud.server import orphans

pytestmark = pytest.mark.e2e


def type_in(cloud, command: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the local cloud as a person would."""
    arguments = [sys.executable, "-m", "localcloud", command, "--state", str(cloud.state), *more]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)


def start(cloud, *more: str) -> subprocess.CompletedProcess[str]:
    return type_in(cloud, "start", "--port", str(cloud.port), "--python", str(cloud.python), *more)


@pytest.fixture
def fresh(new_cloud):
    cloud = new_cloud()
    yield cloud
    cloud.stop()


def test_start_returns_when_the_cloud_is_ready_and_says_where(fresh):
    started = start(fresh)
    assert (started.returncode, started.stdout) == (0, "")
    assert f"ready on {fresh.url}" in started.stderr
    assert f"root's keys are in {fresh.state}/credentials" in started.stderr
    facts = json.loads((fresh.state / "server.json").read_text())
    assert facts["pid"] == fresh.pid
    assert (facts["port"], facts["url"]) == (fresh.port, fresh.url)
    assert abs(facts["started"] - time.time()) < 60


def test_start_again_does_nothing(cloud):
    pid = cloud.pid
    again = start(cloud)
    assert again.returncode == 0
    assert f"already running on {cloud.url} (pid {pid})" in again.stderr
    assert cloud.pid == pid


def an_environment_like(python: Path, folder: Path) -> Path:
    """Make an environment with the packages of another; answers its Python."""
    whole = python.parent.parent
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(python.resolve())
    (folder / "lib").symlink_to(whole / "lib")
    (folder / "pyvenv.cfg").write_text((whole / "pyvenv.cfg").read_text())
    return folder / "bin" / "python"


def test_a_cloud_whose_environment_was_installed_again_is_restarted_on_its_state(fresh, tmp_path):
    whole, environment = fresh.python, tmp_path / "environment"
    fresh.python = an_environment_like(whole, environment)
    start(fresh)
    fresh.client("s3").create_bucket(Bucket="kept")
    before = fresh.pid
    shutil.rmtree(environment)
    missing = start(fresh)
    assert missing.returncode == 1
    assert f"the local cloud's environment is missing ({fresh.python})" in missing.stderr
    assert fresh.pid == before  # better than none
    an_environment_like(whole, environment)
    again = start(fresh)
    assert again.returncode == 0
    assert "the environment that it runs from was removed or installed again, so it is restarted" in again.stderr
    assert f"ready on {fresh.url}" in again.stderr
    assert fresh.pid not in (0, before)
    assert [bucket["Name"] for bucket in fresh.client("s3").list_buckets()["Buckets"]] == ["kept"]
    assert "already running" in start(fresh).stderr


def test_two_starts_at_once_make_one_cloud(fresh):
    arguments = [sys.executable, "-m", "localcloud", "start", "--state", str(fresh.state), "--port", str(fresh.port)]
    both = [subprocess.Popen([*arguments, "--python", str(fresh.python)], stderr=subprocess.PIPE) for _ in range(2)]
    said = [each.communicate(timeout=300)[1].decode() for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert sorted("already running" in text for text in said) == [False, True]


def test_status_tells_what_runs(cloud, fresh):
    silent = type_in(fresh, "status", "--json")
    assert (silent.returncode, json.loads(silent.stdout)) == (3, {"running": False})
    spoken = type_in(cloud, "status", "--json")
    expected = {"running": True, "pid": cloud.pid, "port": cloud.port, "url": cloud.url, "ready": True}
    told = json.loads(spoken.stdout)
    assert told.pop("accounts")[0] == "000000000000"
    assert (spoken.returncode, told) == (0, expected)


def test_stop_leaves_nothing_running(fresh, functions_of):
    start(fresh)
    functions = functions_of(fresh)
    functions.create("stopped")
    functions.call("stopped", "s3", "list_buckets")
    server, [worker] = fresh.pid, orphans.marked(fresh.state)
    stopped = type_in(fresh, "stop")
    assert stopped.returncode == 0
    assert not any(orphans.alive(pid) for pid in (server, worker))
    assert not (fresh.state / "server.json").exists()
    assert "not running" in type_in(fresh, "stop").stderr


def test_what_a_killed_cloud_left_running_ends_with_the_next_start(fresh, functions_of):
    start(fresh)
    functions = functions_of(fresh)
    functions.create("orphan")
    functions.call("orphan", "s3", "list_buckets")
    [child] = orphans.marked(fresh.state)
    sleeper = subprocess.Popen(["sleep", "1000"], env={**os.environ, "LOCALCLOUD_STATE": str(fresh.state)})
    fresh.kill()
    assert "ended" in start(fresh).stderr
    assert child not in orphans.marked(fresh.state)
    assert sleeper.wait(60) != 0


def test_a_cloud_that_does_not_end_by_itself_is_killed(fresh):
    start(fresh)
    pid = fresh.pid
    os.kill(pid, 19)  # SIGSTOP: it hears nothing
    assert process.stop(fresh.state, process.to_stderr, grace=0.5)
    assert not orphans.alive(pid)


def test_files_of_a_dead_process_are_no_obstacle(fresh):
    for name in ("server.lock", "server.json"):
        (fresh.state / name).write_text(json.dumps({"pid": os.getpid(), "port": fresh.port}))
    assert type_in(fresh, "status").returncode == 3
    assert start(fresh).returncode == 0


def test_another_port_for_a_running_cloud_is_refused(cloud):
    other = type_in(cloud, "start", "--port", str(cloud.port + 1), "--python", str(cloud.python))
    assert other.returncode == 1
    assert f"already runs on port {cloud.port} (pid {cloud.pid}), not on {cloud.port + 1}" in other.stderr


def test_a_port_in_use_is_named_with_its_holder_and_what_to_do(fresh):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", fresh.port))
        holder.listen()
        refused = start(fresh)
    assert refused.returncode == 1
    assert f"port {fresh.port} on 127.0.0.1 is in use" in refused.stderr
    assert f"(pid {os.getpid()})" in refused.stderr
    assert "take a free port, such as LOCALCLOUD_PORT=" in refused.stderr
    assert "Traceback" not in refused.stderr


LISTENS = (
    "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
)


@pytest.mark.parametrize("relative", [True, False])
def test_a_port_in_use_by_a_cloud_is_named_with_its_checkout_and_a_free_port(tmp_path, relative):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / ".project" / "cloud").mkdir(parents=True)
    state = ".project/cloud" if relative else f"{tmp_path}/.project/cloud"
    command = [sys.executable, "-c", LISTENS, "localcloud", "serve", "--state", state]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as other, socket.socket() as beside:
        port = int(other.stdout.readline())
        with contextlib.suppress(OSError):  # else another process has it, which is as good
            beside.bind(("127.0.0.1", port + 1))
            beside.listen()
        with pytest.raises(process.ProcessError, match=f"is in use by the local cloud of {tmp_path} ") as refused:
            process.require_free(port)
        other.stdin.close()
    suggested = int(str(refused.value).rpartition("=")[2])
    assert suggested > port + 1
    process.require_free(suggested)


def test_only_the_one_port_of_the_loopback_is_open(cloud, functions_of):
    functions_of(cloud).create("ports")
    table = Path(f"/proc/{cloud.pid}/net/tcp").read_text() + Path(f"/proc/{cloud.pid}/net/tcp6").read_text()
    own = {str(entry.readlink()) for entry in Path(f"/proc/{cloud.pid}/fd").iterdir() if entry.is_symlink()}
    listening = [
        fields[1]
        for fields in (line.split() for line in table.splitlines())
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in own
    ]
    assert listening == [f"0100007F:{cloud.port:04X}"]


def test_a_read_only_state_folder_is_refused_before_anything_changes(fresh, tmp_path):
    folder = tmp_path / "read-only"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], check=False)
    if mounted.returncode != 0:
        folder.chmod(0o500)
    fresh.state = folder / "state"
    try:
        refused = start(fresh)
    finally:
        subprocess.run(["umount", str(folder)], check=False, capture_output=True)
        folder.chmod(0o700)
    assert refused.returncode == 1
    assert f"state folder {fresh.state} cannot be written" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert list(folder.iterdir()) == []


def test_a_full_disk_is_refused_before_anything_changes(fresh):
    command = f'ulimit -f 8; exec "{sys.executable}" -m localcloud start --state "{fresh.state}" --port {fresh.port}'
    command += f' --python "{fresh.python}"'
    refused = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "cannot be written: File too large" in refused.stderr
    assert [path.name for path in fresh.state.iterdir()] == []


def test_an_environment_that_is_not_set_up_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("LOCALCLOUD_PYTHON", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(process.ProcessError, match=r"environment is missing .*run the project's set-up"):
        process.find_python(tmp_path)


def test_a_cloud_that_cannot_start_shows_its_log(fresh, tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho the interpreter is broken >&2\nexit 7\n")
    broken.chmod(0o755)
    refused = type_in(fresh, "start", "--port", str(fresh.port), "--python", str(broken))
    assert refused.returncode == 1
    assert "ended while it started (exit 7)" in refused.stderr
    assert "the interpreter is broken" in refused.stderr


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("region = 7", "region is 7, expected a region such as us-east-1"),
        ("colour = 'red'", "unknown key colour; allowed: account, image, region"),
        ("[[image]]\nrepository = '*'", "image[0].command is None, expected a program and its arguments"),
        ("region = ", "is not TOML"),
    ],
)
def test_a_bad_configuration_is_refused_with_the_key_and_what_was_expected(fresh, tmp_path, text, complaint):
    config = tmp_path / "localcloud.toml"
    config.write_text(text)
    refused = start(fresh, "--config", str(config))
    assert refused.returncode == 1
    assert complaint in refused.stderr
    assert str(config) in refused.stderr
    assert list(fresh.state.iterdir()) == []


def test_stop_does_not_wait_for_a_function_and_its_event_runs_again(fresh, functions_of, eventually):
    start(fresh)
    fresh.client("s3").create_bucket(Bucket="slow")
    functions_of(fresh).create("slow", bucket="slow")
    functions_of(fresh).allow("slow", Action=["s3:PutObject", "s3:ListBucket"], Resource="*")
    fresh.client("lambda").invoke(FunctionName="slow", InvocationType="Event", Payload=b'{"until": "go"}')
    assert eventually(lambda: orphans.marked(fresh.state))
    assert "killing" not in type_in(fresh, "stop").stderr
    start(fresh)
    fresh.client("s3").put_object(Bucket="slow", Key="go", Body=b"")
    assert eventually(lambda: fresh.client("s3").list_objects_v2(Bucket="slow", Prefix="seen/").get("Contents"))


def test_a_function_that_is_not_called_ends_and_starts_again_when_it_is(fresh, functions_of, eventually, monkeypatch):
    monkeypatch.setenv("LOCALCLOUD_WORKER_SECONDS", "1")
    start(fresh)
    functions = functions_of(fresh)
    functions.create("idle")
    functions.call("idle", "s3", "list_buckets")
    assert len(orphans.marked(fresh.state)) == 1
    assert eventually(lambda: not orphans.marked(fresh.state))
    assert functions.call("idle", "s3", "list_buckets")["code"] == "AccessDenied"
