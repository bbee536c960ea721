"""What it costs to verify a package, and whether any that was tampered with passes.

    python -m bench provenance

An archive of 100 MB is verified by its signature, documents and all, in turns with `sha256sum` on the same file, so
that whatever else the machine does slows both. Then packages that were tampered with are verified, in every way of
`bench.mutants`, while everything that would parse a package is watched.
"""

from __future__ import annotations

import statistics
import subprocess
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from unittest import mock

from bench.bed import BenchError
from bench.mutants import KINDS, mutants, signed
from bench.rows import Row, sized
from modelstack.pipeline import archive
from modelstack.records.provenance.envelope import SignatureError
from modelstack.records.provenance.evidence import verify_file
from modelstack.records.provenance.facts import (
    Builder,
    Environment,
    Facts,
    Interval,
    Metric,
    Recipe,
    SealedArchive,
    Source,
)
from modelstack.records.provenance.key_pair import KeyPair

_BYTES, _TURNS, _MUTANTS = 100_000_000, 15, 500
FACTS = Facts(
    package=SealedArchive("", 0, "0" * 64),
    recipe=Recipe(*("0" * 64 for _ in range(4)), format="1", python="3.11", parameters={"max_iter": 80}),
    source=Source("0" * 40, dirty=False),
    data=(),
    data_version="1",
    dependencies=(),
    trained_on={"rows": 1000},
    metrics=(Metric("auc", 0.7, Interval(0.68, 0.72, 0.95)),),
    environment=Environment("CPython 3.11", "Linux", "x86_64"),
    builder=Builder("urn:modelstack:builder:local", None, "2026-01-01T00:00:00Z"),
)


def rows() -> list[Row]:
    """The speed of verification beside that of sha256sum, and how many mutants were refused."""
    return [_speed(), _refused()]


def _speed() -> Row:
    size = sized(_BYTES, 1_000_000)
    whole = signed({archive.MANIFEST: b'{"files": {}}', "model.bin": Random(7).randbytes(size)}, FACTS, KeyPair.new())
    with TemporaryDirectory(prefix="modelstack-bench-") as folder:
        path = Path(folder) / "model.tar.gz"
        path.write_bytes(whole.archive)

        def ours() -> None:
            verify_file(path, whole.files, whole.public_key)

        def theirs() -> None:
            subprocess.run(["sha256sum", path], check=True, capture_output=True)

        took = [(_seconds(theirs), _seconds(ours)) for _ in range(sized(_TURNS, 3))]
    other, own = (statistics.median(column) for column in zip(*took, strict=True))
    peer = f"{size / 1e6:.0f} MB: sha256sum {other * 1e3:.0f} ms, verified in {own * 1e3:.0f} ms"
    return Row("verify_vs_sha256sum", round(other / own, 2), "ratio", ">= 0.7", peer)


def _refused() -> Row:
    members = {archive.MANIFEST: b'{"files": {}}', "a.json": b"{}", "model.bin": Random(7).randbytes(4000)}
    count = sized(_MUTANTS, len(KINDS))
    refused: Counter[str] = Counter()
    with TemporaryDirectory(prefix="modelstack-bench-") as folder:
        path = Path(folder) / "model.tar.gz"
        for mutant in mutants(members, FACTS, count, Random(7)):
            path.write_bytes(mutant.archive)
            with _nothing_parsed():
                try:
                    verify_file(path, mutant.files, mutant.public_key)
                except SignatureError:
                    refused[mutant.kind] += 1
    missed = [kind for kind in KINDS if refused[kind] < count // len(KINDS)]
    peer = f"passed: {', '.join(missed)}" if missed else f"{len(KINDS)} kinds, such as {', '.join(list(KINDS)[:3])}"
    return Row("mutants_refused", refused.total(), f"of {count}", f">= {count}", peer)


@contextmanager
def _nothing_parsed() -> Iterator[None]:
    """Ends the run if the archive is opened as one, or facts are read."""
    watched = ((tarfile, "open"), (archive, "verify"), (archive, "read"), (Facts, "from_json"))
    with ExitStack() as patches:
        for owner, name in watched:
            patches.enter_context(mock.patch.object(owner, name, _parsed))
        yield


def _parsed(*_: object, **__: object) -> None:
    raise BenchError("a package was parsed before it was verified")


def _seconds(call: Callable[[], None]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun
