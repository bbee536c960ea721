"""The lock of a database that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from localcloud.cluster import database
from localcloud.cluster.layout import Layout


def test_the_lock_of_a_server_that_was_killed_is_taken_away_and_that_of_one_that_runs_is_not(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.database.mkdir(parents=True)
    lock = layout.database / "postmaster.pid"
    database.unlock(layout)
    runs = "import time; print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", runs, "postgres"], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()  # a process that was started this instant has no command line yet
        lock.write_text(f"{server.pid}\n/run/localcluster/postgresql\n")
        database.unlock(layout)
        assert lock.exists()
        server.kill()
        os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie
        database.unlock(layout)
        assert not lock.exists()
