"""The private names of ministack that the local cloud stands on: none may move without our notice."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import localcloud
from localcloud import process
from localcloud.setup import Places
from localcloud.setup.places import own_lock


def told_by(script: str) -> object:
    """Run a script of this folder in the local cloud's environment; the JSON of its last line."""
    environment = {**os.environ, "PYTHONPATH": str(Path(localcloud.__file__).parents[1])}
    command = [str(process.find_python(Places.here().root)), str(Path(__file__).with_name(script))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.e2e
def test_every_private_name_is_as_we_use_it():
    assert told_by("ministack_names.py") == []


@pytest.mark.e2e
def test_logs_keep_their_retention_and_do_not_grow_for_ever():
    assert told_by("log_trimming.py") == {
        "copy_is_the_same": True,
        "dropped": [True, False],
        "expiring": [2],
        "keeping": [1],
        "long": [5_000],
        "many": [300, "002"],
    }


@pytest.mark.e2e
def test_tables_are_saved_whole_and_only_what_changed_of_them_is_written_again():
    assert told_by("tables_saved.py") == {
        "no item": 1,  # the description of the tables, as in all saves of one more than items changed
        "all are new": 22,
        "nothing changed": 0,
        "one put": 1,
        "one updated": 1,
        "two in a transaction": 2,
        "one deleted": 1,
        "one of a partition of two": 1,
        "bytes, and a text with a NUL": 1,
        "two, of which one was refused by the disk": 2,
        "a tag": 1,
        "a backup": 3,
        "one put beside a backup": 1,
        "a table restored": 3,
        "a table of 21 deleted and made again with one": 23,
        "nothing after a restart": 0,
        "one put after a restart": 1,
    }


@pytest.mark.e2e
def test_policies_are_evaluated_as_iam_does_and_what_cannot_be_decided_is_refused():
    assert told_by("policies_read.py") == {
        "a newline in a denied name": "Deny",
        "a newline behind an allowed name": "ImplicitDeny",
        "an own name": "Allow",
        "another name": "ImplicitDeny",
        "an own name denied": "Deny",
        "a star in a tag is no pattern": "ImplicitDeny",
        "a star in a tag": "Allow",
        "no value": "ImplicitDeny",
        "no value, the rest": "ImplicitDeny",
        "a default": "Allow",
        "a star itself": "ImplicitDeny",
        "a name in a condition": "Allow",
        "an unknown operator allows": "ImplicitDeny",
        "an unknown operator denies": "Deny",
        "no set operator allows": "ImplicitDeny",
        "no set operator denies": "Deny",
        "all of a set": "ImplicitDeny",
        "any of a set": "Allow",
        "any of no set": "ImplicitDeny",
        "if it exists": "Allow",
        "no service calls": "Deny",
        "denied to all but another": "Deny",
        "denied to all but her": "Allow",
        "denied to all but a service": "Deny",
    }


@pytest.mark.e2e
def test_events_outlast_a_disk_that_is_full_for_a_while():
    assert told_by("events_kept.py") == {"tried again, not in a rush": True, "left once there is room": 0}


def test_the_version_is_pinned():
    assert "ministack==1.5.33" in own_lock("localcloud").with_suffix(".in").read_text()
