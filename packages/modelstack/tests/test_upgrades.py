"""Stored forms: the table of the docs has them all, and a reader refuses a newer version, and ignores a newer field."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import pytest

from modelstack.forms import FORMS
from modelstack.monitoring.measurements import Datum
from modelstack.monitoring.retraining.record import RetrainingEvent, RetrainingRecord
from modelstack.pipeline import archive
from modelstack.platforms.kubernetes.schema import MIGRATIONS, prepare
from modelstack.records.audit.record import AuditRecord, RecordKind
from modelstack.records.provenance.facts import Facts, FactsError
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.event import Event
from modelstack.rollout.core.state import RolloutState, StateError
from modelstack.rollout.reason import Reason
from modelstack.services.approvals import Approval, BlobApprovals
from modelstack.services.batches import quality
from modelstack.services.drift_record import DriftRecord
from modelstack.services.ledger import entry_of
from modelstack.services.ports import Document
from modelstack.serving.package import PackageRefused, manifest_of
from tests.records.provenance.conftest import FACTS
from tests.rollout.worlds import challenged
from tests.services.memory import MemoryBlobs, MemoryDocuments
from tests.test_structure import ROOT, SOURCES, modules, tree

TABLE = (ROOT / "docs/reference/upgrades.md").read_text().partition("\n## Stored forms\n")[2]
RECORD = AuditRecord(1, "2026-01-01T00:00:00.000Z", "e", RecordKind.RELEASE, "ada")
APPROVAL = Approval("r", "sha256:1", "ada", "well", 1.0)
FORM: dict[str, Any] = {"kind": "regression"}


def test_the_table_has_each_form_of_the_code_with_its_version() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in TABLE.splitlines() if line.startswith("| ")]
    assert {name: int(version) for name, _, version, *_ in rows if version.isdigit()} == FORMS
    assert FORMS["PostgreSQL schema"] == len(MIGRATIONS)


def test_each_version_of_a_form_is_in_one_place_and_is_used() -> None:
    ours = {name: path for name, path in modules().items() if path.is_relative_to(SOURCES)}
    text = "\n".join(path.read_text() for path in ours.values())
    assert FORMS.keys() <= {*re.findall(r'(?:FORMS\[|check\(|\(\()"([^"]+)"', text)}
    assert [f"{name}.{constant}" for name, path in ours.items() for constant in _versions(tree(path))] == []


def _versions(module: ast.Module) -> list[str]:
    """Constants that are a version of a form of ours: of others' they have dots, letters or dashes."""
    return [
        target.id
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and str(node.value.value).isdigit()
        for target in node.targets
        if isinstance(target, ast.Name) and re.fullmatch(r"(.*_)?(FORM|FORMAT|SCHEMA|VERSION)", target.id)
    ]


def _journal(more: dict[str, Any], _: Path) -> object:
    return RolloutState.from_json(json.dumps(json.loads(challenged().state.to_json()) | more))


def _retraining(more: dict[str, Any], _: Path) -> object:
    return RetrainingRecord.from_json(json.dumps(json.loads(RetrainingRecord().to_json()) | more))


def _documents(key: str, body: dict[str, Any]) -> MemoryDocuments:
    documents = MemoryDocuments()
    documents.transact([Document(key, body)])
    return documents


def _ledger(more: dict[str, Any], _: Path) -> object:
    answer = {"event": "1", "variant": "v-a", "at": 0.0, "form": FORM, "said": []}
    body = {"given": {"label": "1", "source": "f"} | more, "answers": {"v-a": answer | more}}
    return entry_of(_documents("id#a", body | more), "a")


def _quality(more: dict[str, Any], _: Path) -> object:
    return quality(_documents("quality#v-a", {"shown": {"at": 1.0}} | more), "v-a")


def _drift(more: dict[str, Any], _: Path) -> object:
    return DriftRecord(_documents("drift#v-a", {"after": "key", "state": None} | more)).read("v-a")


def _approval(more: dict[str, Any], _: Path) -> object:
    stored = {"approvals/r/1.json": json.dumps(asdict(APPROVAL) | more).encode()}
    return BlobApprovals(MemoryBlobs(stored), str).given("r")


def _audit(more: dict[str, Any], _: Path) -> object:
    return AuditRecord.from_dict(asdict(RECORD) | more)


def _facts(more: dict[str, Any], _: Path) -> object:
    found = {"form" if name == "version" else name: value for name, value in more.items()}
    return Facts.from_json(json.dumps(json.loads(FACTS.to_json()) | found).encode())


def _sealed(more: dict[str, Any], folder: Path) -> object:
    manifest = json.dumps({"files": {}} | more).encode()
    archive.seal({archive.MANIFEST: manifest}, folder / "model.tar.gz")
    return archive.verify(folder / "model.tar.gz").content["files"]


def _served(more: dict[str, Any], folder: Path) -> object:
    manifest = json.dumps({"files": {}} | more).encode()
    (folder / "manifest.json").write_bytes(manifest)
    return manifest_of(folder, hashlib.sha256(manifest).hexdigest())["files"]


class _Migrated:
    """A database to which so many migrations were applied."""

    def __init__(self, number: int) -> None:
        self.digests = [hashlib.sha256(text.encode()).hexdigest() for text in MIGRATIONS]
        self.digests += ["newer"] * (number - len(MIGRATIONS))

    def together(self, _: str, call: Callable[..., int]) -> int:
        return call(lambda text, **_: [[one] for one in self.digests] if "digest" in text else [["migrations"]])


def _schema(more: dict[str, Any], _: Path) -> object:
    return prepare(cast(Any, _Migrated(more.get("version", len(MIGRATIONS)))))


Reader = Callable[[dict[str, Any], Path], object]
READERS: dict[Reader, tuple[str, type[Exception]]] = {
    _approval: ("approval", RolloutError),
    _audit: ("audit record", ValueError),
    _drift: ("drift record", RolloutError),
    _facts: ("package facts", FactsError),
    _journal: ("journal", StateError),
    _ledger: ("label ledger", RolloutError),
    _quality: ("quality state", RolloutError),
    _retraining: ("retraining record", RolloutError),
    _schema: ("PostgreSQL schema", RolloutError),
    _sealed: ("package manifest", archive.ArchiveError),
    _served: ("package manifest", PackageRefused),
}


def test_each_form_that_the_library_reads_back_has_a_reader_here() -> None:
    assert {form for form, _ in READERS.values()} == FORMS.keys() - {"event", "recipe"}


@pytest.mark.parametrize("reader", READERS)
def test_a_newer_version_is_refused_by_an_error_that_says_what_to_do(reader: Reader, tmp_path: Path) -> None:
    form, error = READERS[reader]
    known = FORMS[form]
    said = f"{form}: got version {known + 1}, this library reads up to {known}: upgrade pulumi-modelstack"
    with pytest.raises(error, match=re.escape(said)):
        reader({"version": known + 1}, tmp_path)


@pytest.mark.parametrize("reader", [reader for reader in READERS if reader is not _audit])  # its bytes are signed
def test_a_field_that_a_newer_version_added_is_ignored(reader: Reader, tmp_path: Path) -> None:
    assert reader({"added": {"later": 1}}, tmp_path) == reader({}, tmp_path)


def test_an_unsent_metric_with_a_newer_field_is_read() -> None:
    datum = Datum("n", "v", 1.0, "Count", 1.0)
    documents = MemoryDocuments()
    body = {"data": [asdict(datum) | {"added": 1}]}
    documents.transact([Document("drift-unsent#v#1", body, queue="drift-unsent#v", since=1.0)])
    assert [*DriftRecord(documents).unsent("v", 2.0)] == [(1, [datum])]


def test_an_event_or_reason_of_a_newer_version_is_shown_by_its_name_and_stored_again() -> None:
    state = challenged().state
    newer = Event(1.0, state.rollout_id, "thawed", "b")
    known = RolloutState.from_json(replace(state, history=(*state.history, newer)).to_json())
    assert known.history[-1] == newer
    assert newer.text == "thawed of b: upgrade pulumi-modelstack to know this event"
    assert Reason.from_dict({"source": "judge", "name": "errors", "kind": "by_lot"}).text == "by_lot"
    assert RetrainingEvent(1.0, "d", "thawed").what == "thawed: upgrade pulumi-modelstack to know this event"
