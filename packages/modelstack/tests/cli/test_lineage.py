"""The lineage as a tree in the terminal and as events that are sent, and which package a person means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelstack.cli.errors import OperatorError
from modelstack.cli.lineage.read import find_digest
from modelstack.cli.lineage.send import KEY, send
from modelstack.cli.lineage.tree import tree
from modelstack.cli.page import page
from modelstack.cli.view.times import when
from modelstack.records.audit.record import RecordKind
from modelstack.records.lineage.openlineage import Event, events
from modelstack.records.lineage.package import lineage
from modelstack.rollout.core.state import RolloutState
from tests.cli.played import printed
from tests.listening import Quiet, listening
from tests.records.lineage.recorded import ADA, DEV, DIGEST, HERE, OURS, PROD, TAKEN_BACK, at, graph, records
from tests.records.provenance.conftest import FACTS
from tests.rollout.worlds import release as make_release

KNOWN = ("sha256:abcde" + "0" * 59, "sha256:abcdf" + "0" * 59)
STATE = replace(RolloutState("flight-delay-dev"), champion=replace(make_release("a"), package_digest=KNOWN[0]))


def test_the_tree_tells_the_whole_chain() -> None:
    text = printed(tree(graph()), width=400)
    for line in (
        "made of flights.csv.zip",
        f"made of commit {str(FACTS.source.commit)[:12]}",
        "sealed by local build",
        "registered as flight-delay-dev version 3",
        f"agreed to by user/ada, {when(at(20))}: looks well",
        "promoted to flight-delay-prod version 1",
        f"served on endpoint flight-delay-dev, from {when(at(31))} until {when(at(55))}",
        f"served on endpoint flight-delay-prod, from {when(at(42))} until now",
        f"begun by assumed-role/deploy/ci, {when(at(21))}\n",
        f"ended by flight-delay-dev-advance, {when(at(31))}: promoted\n",
        f"taken back by user/bob, {when(at(50))}: asked for by bob: customers complain",
    ):
        assert line in text, line


def test_names_of_others_cannot_write_the_tree() -> None:
    version = replace(HERE, why="[red]approved[/red] [/bold]")
    assert "why [red]approved[/red] [/bold]" in printed(tree(graph(replace(DEV, versions=(version,)))), width=400)


def test_what_people_wrote_is_no_line_of_the_tree_and_no_command_to_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    said = "fine\n├── approved by user/boss\x1b[2J\x9b2J\u202e\x1b]0;title\x07"
    page().print(tree(graph(replace(DEV, versions=(replace(HERE, why=said),)))))
    printed_text = capsys.readouterr().out
    assert "why fine ├── approved by user/boss\ufffd[2J" in printed_text
    assert not set("\x1b\x07\x9b\u202e") & set(printed_text)


def test_what_is_not_known_is_said() -> None:
    text = printed(tree(lineage(DIGEST, None, [replace(PROD, records=())], ["the documents: not signed"])))
    assert "since before anything was recorded" in text
    assert "not looked at: the documents: not signed" in text


def test_a_request_to_serve_again_is_read_from_the_version_to_the_person() -> None:
    asked = records("prod", (80, RecordKind.RESTORE, ADA, "restore", OURS, {"reason": TAKEN_BACK}))
    assert "asked to serve again by user/ada" in printed(tree(graph(replace(PROD, records=asked))))


@pytest.mark.parametrize("word", [None, "abcde", "ABCDE0", "sha256:abcde", KNOWN[0], "a", "v-a"])
def test_a_package_is_meant_by_the_beginning_of_its_digest_or_by_its_release(word: str | None) -> None:
    assert find_digest(word, KNOWN, STATE) == KNOWN[0]


def test_a_beginning_of_several_digests_lists_them() -> None:
    with pytest.raises(OperatorError, match=f"2 packages: {KNOWN[0]}, {KNOWN[1]}") as refused:
        find_digest("abcd", KNOWN, STATE)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("word", ["beef", "abc", ""])
def test_what_names_no_package_is_refused(word: str) -> None:
    with pytest.raises(OperatorError, match="no package"):
        find_digest(word, KNOWN, STATE)


def test_without_a_champion_a_package_must_be_named() -> None:
    with pytest.raises(OperatorError, match="nothing serves"):
        find_digest(None, KNOWN, RolloutState("flight-delay-dev"))


def test_a_file_gets_an_event_a_line(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    assert send(events(graph()), str(file)) == f"8 events are in {file}"
    assert [json.loads(line) for line in file.read_text().splitlines()] == events(graph())
    with pytest.raises(OperatorError, match="No such file"):
        send([], str(tmp_path / "none" / "events.jsonl"))


class Service(Quiet):
    got: list[tuple[str, str | None, Event]]
    refuses = False

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.got.append((self.path, self.headers["Authorization"], content))
        self.send_response(422 if self.refuses else 201)
        self.end_headers()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Service, "got", [], raising=False)
    with listening(Service) as url:
        yield f"{url}/api/v1/lineage"


def test_a_url_gets_each_event_with_the_key_of_the_environment(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "secret")
    send(events(graph()), service)
    assert [event for _, _, event in Service.got] == events(graph())
    assert {(path, key) for path, key, _ in Service.got} == {("/api/v1/lineage", "Bearer secret")}


def test_a_service_that_refuses_is_named(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Service, "refuses", True)
    with pytest.raises(OperatorError, match="422"):
        send(events(graph()), service)
    assert len(Service.got) == 1
