"""`modelstack audit`: verify, export and show, and the script of the docs that needs nothing of ours."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from modelstack.cli.commands import proving
from modelstack.cli.main import main
from modelstack.cli.page import page
from modelstack.cli.target import Target
from modelstack.cli.target_options import TargetOptions
from modelstack.cli.view import audit_records
from modelstack.platforms.aws.journal import copied_journal as copied_on_aws
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.journal import KubernetesJournal, copied_journal
from modelstack.records.audit.chain import Chain
from modelstack.records.audit.record import Entry, RecordKind, Signed
from modelstack.rollout.core.state import RolloutState
from modelstack.services.journal import CopiedJournal
from tests.cli.clustered import NAMESPACE, Cluster
from tests.cli.there import target as on_cluster
from tests.platforms.aws.mocked import journal_table, mocked_aws
from tests.process import ROOT
from tests.records.audit.made import ENDPOINT, WHO, Key

pytestmark = pytest.mark.slow

KEY = Key()
REASON = {"source": "person", "name": "ada", "said": "customers complain", "kind": "taken_back"}


@dataclass(frozen=True)
class Stack:
    """A stack with three records, of which the last is not stored yet; `put` of None deletes a line."""

    journal: CopiedJournal
    put: Callable[[int, str | None], None]
    folder: Path
    key: Path

    def typed(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["audit", *words])

    def verify(self, *words: str) -> Result:
        return self.typed("verify", "--key", str(self.key), *words)


@pytest.fixture(params=["on AWS", "on a cluster"])
def stack(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stack]:
    key = tmp_path / "audit.der"
    key.write_bytes(KEY.public)
    monkeypatch.setenv("COLUMNS", "300")
    made = _on_aws if request.param == "on AWS" else _on_cluster
    with made(request, monkeypatch) as (target, journal, put):
        monkeypatch.setattr(proving, "find", lambda _: target)
        state = RolloutState(ENDPOINT)
        for kind, what in (
            (RecordKind.RELEASE, {"release": "b", "event": "preparing"}),
            (RecordKind.VERDICT, {"release": "b", "event": "rolled_back", "reason": REASON}),
            (RecordKind.CLEAR, {"release": "b", "event": "cleared"}),
        ):
            state = state.recording(Entry(1_000_000.0, kind, what))
        state = journal.write(state)
        for record in state.audit.waiting[:2]:
            put(record.number, Signed.by(KEY, record).line)
        journal.write(replace(state, audit=state.audit.kept(2)))
        yield Stack(journal, put, tmp_path, key)


Made = tuple[Target, CopiedJournal, Callable[[int, str | None], None]]


@contextmanager
def _on_aws(_: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    with mocked_aws(monkeypatch) as make:
        journal_table(make)
        make("s3").create_bucket(Bucket="artifacts")

        def put(number: int, line: str | None) -> None:
            of = {"Bucket": "artifacts", "Key": f"audit/{number:010}.json"}
            _ = make("s3").delete_object(**of) if line is None else make("s3").put_object(**of, Body=line.encode())

        target = Target("prod", ENDPOINT, "us-east-1", {"artifact_bucket": "artifacts", "journal_table": "rollouts"})
        yield target, copied_on_aws(make, "rollouts", ENDPOINT, WHO), put


@contextmanager
def _on_cluster(request: pytest.FixtureRequest, _: pytest.MonkeyPatch) -> Iterator[Made]:
    cluster: Cluster = request.getfixturevalue("cluster")
    lines: dict[int, str] = {}

    def put(number: int, line: str | None) -> None:
        _ = lines.pop(number) if line is None else lines.update({number: line})
        cluster.records = [lines[one] for one in sorted(lines)]

    pem = load_der_public_key(KEY.public).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    there = on_cluster(cluster)
    target = replace(there, outputs={**there.outputs, "audit_key": pem.decode()})
    yield target, copied_journal(Api.of(None, NAMESPACE), ENDPOINT, WHO), put


def test_a_record_that_is_as_it_was_written_is_said_to_be_so(stack: Stack) -> None:
    told = stack.verify()
    assert told.exit_code == 0, told.output
    assert re.fullmatch(
        r"3 records are in order; the last one is sha256 [0-9a-f]{64}; 1 not signed and put away yet\n", told.output
    )
    seen = json.loads(stack.verify("--json").output)
    assert (seen["ok"], seen["records"], seen["waiting"], seen["finding"]) == (True, 3, 1, None)


def test_a_tampered_record_is_named_and_the_exit_code_says_no(stack: Stack) -> None:
    lines = stack.typed("export").output.splitlines()
    stack.put(2, lines[1].replace("rolled_back", "rolled_over"))
    told = stack.verify()
    assert told.exit_code == 1
    assert told.output == "record 2 was changed after it had been signed; 1 before it are in order\n"
    seen = json.loads(stack.verify("--json").output)
    assert (seen["ok"], seen["finding"]["problem"], seen["finding"]["number"]) == (False, "changed", 2)


def test_records_that_are_used_are_those_that_were_verified(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may write to the bucket could show other records to a second read."""
    lines = stack.typed("export").output.splitlines()
    answers = [lines, [lines[0], lines[1].replace("rolled_back", "rolled_over")]]
    monkeypatch.setattr(audit_records, "kept", lambda _: answers.pop(0))
    monkeypatch.setattr(audit_records, "_public_key", lambda *_: KEY.public)
    told = [record.what["event"] for record in audit_records.proven(proving.find(TargetOptions()))]
    assert (told, len(answers)) == (["preparing", "rolled_back", "cleared"], 1)


def test_a_key_is_taken_in_pem_form_too_and_another_one_finds_its_first_record(stack: Stack) -> None:
    stack.key.write_bytes(load_der_public_key(KEY.public).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert stack.verify().exit_code == 0
    stack.key.write_bytes(Key().public)
    assert "record 1 was signed by another key" in stack.verify().output


def test_the_key_of_a_stack_on_a_cluster_is_the_one_that_its_outputs_name(stack: Stack) -> None:
    """That of a stack on AWS is asked of KMS, which only the local cloud has with this kind of key."""
    if isinstance(stack.journal.primary, KubernetesJournal):
        assert stack.typed("verify").exit_code == 0, stack.typed("verify").output


@pytest.mark.parametrize("kind", ["text", "rsa"])
def test_what_is_no_such_key_is_refused(stack: Stack, kind: str) -> None:
    public = rsa.generate_private_key(65537, 2048).public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    stack.key.write_bytes(der if kind == "rsa" else b"ssh-ed25519 AAAA")
    told = stack.verify()
    assert (told.exit_code, "expected a public key on P-256, in PEM or DER form" in told.output) == (2, True)


def test_the_table_tells_what_happened_to_whom_and_why_in_plain_words(stack: Stack) -> None:
    told = stack.typed("show").output
    assert re.search(
        r"2 +1970-01-12 13:46 UTC \([^)]+ ago\) +verdict +b +\S+user/ada +asked for by ada: customers complain", told
    )
    assert re.search(r"3 +\S+ \S+ UTC \([^)]+\) +clear +b .*cleared", told), "what waits is shown too"
    stack.put(2, "{}")
    assert "cannot be read" in stack.typed("show").output
    last = stack.typed("show", "--last", "1").output
    assert "preparing" not in last


def test_a_reason_with_brackets_is_told_as_it_was_typed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    entry = Entry(0.0, RecordKind.CLEAR, {"said": "built from [v2], see [/wiki] and [red]"})
    chain = Chain().noting(entry).sealed("e", "w")
    page().print(audit_records.table([Signed(chain.waiting[0], b"x").line], chain))
    assert "built from [v2], see [/wiki] and [red]" in capsys.readouterr().out


def test_a_stack_without_a_record_says_so(stack: Stack) -> None:
    stack.journal.write(replace(stack.journal.read(), audit=Chain()))
    for number in (1, 2):
        stack.put(number, None)
    assert stack.verify().output == "no record yet\n"
    assert stack.typed("export").output == ""


def script() -> str:
    (found,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/how-to/audit.md").read_text(), re.DOTALL)
    return found


def test_the_script_of_the_docs_verifies_an_export_with_nothing_of_ours(stack: Stack) -> None:
    export, program = stack.folder / "audit.jsonl", stack.folder / "verify.py"
    program.write_text(script())
    lines = stack.typed("export").output
    export.write_text(lines)

    def run() -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-I", str(program), str(export), str(stack.key)]
        return subprocess.run(words, capture_output=True, text=True, check=False, cwd=stack.folder)

    assert "2 records are in order" in run().stdout
    for tampered in (
        lines.replace("rolled_back", "rolled_over"),
        lines.splitlines()[1],
        "\n".join(reversed(lines.splitlines())),
    ):
        export.write_text(tampered)
        assert run().returncode == 1


def test_the_three_things_that_a_restore_may_be_are_told_apart() -> None:
    state = RolloutState(ENDPOINT)
    for what in (
        {"release": "a", "event": "restore", "champion": "b"},
        {"release": "a", "event": "restore_lifted"},
        {"release": "b", "event": "rolled_back", "champion": "a"},
    ):
        state = state.recording(Entry(0.0, RecordKind.RESTORE, {**what, "reason": REASON}))
    asked, lifted, back = [audit_records._cells(record)[-1] for record in state.audit.sealed(ENDPOINT, "w").waiting]
    assert asked == "asked for by ada: customers complain"
    assert lifted == f"lifted, it counts no more: {asked}"
    assert back == f"taken back, a serves again: {asked}"
