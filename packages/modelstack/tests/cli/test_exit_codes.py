"""Every command: 2 for wrong use, 3 where an answer could not be found out, and one form of errors."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from modelstack.cli import commands_page
from modelstack.cli.errors import OperatorError
from modelstack.cli.main import main
from modelstack.cli.view.snapshot import Snapshot

LABEL = '{"inference_id": "order-17", "label": true}'
REASON = ("--reason", "x")
WORDS = {
    "status": [],
    "watch": [],
    "explain": [],
    "console": ["--port", "0"],
    "approve": [*REASON],
    "rollback": [*REASON, "--yes"],
    "clear": ["a2527f0cafcc"],
    "skip-trial": ["a2527f0cafcc", *REASON],
    "retrain": ["waiting"],
    "invoke": ["FILE"],
    "replay": ["--limit", "1"],
    "labels": ["FILE"],
    "restore": ["--at", "a2527f0cafcc", *REASON, "--yes"],
    "reproduce": [f"sha256:{'a' * 64}"],
    "audit verify": [],
    "audit export": [],
    "audit show": [],
    "lineage": [],
    "trace": ["order-17"],
}
"""The words of each command that looks at an endpoint."""
WITHOUT_ENDPOINT = {
    "promote",
    "pr-report",
    "pipeline show",
    "pipeline compile",
    "serve",
    "loadtest",
    "model init",
    "new",
}
ALL = dict(commands_page._commands(main))


def invoke(name: str, *words: str) -> Result:
    return CliRunner().invoke(main, [*name.split(), *words])


def given(name: str, folder: Path) -> list[str]:
    (folder / "file").write_text(LABEL)
    return [word.replace("FILE", str(folder / "file")) for word in WORDS[name]]


def one_error(done: Result, code: int) -> str:
    assert done.exit_code == code, done.output
    assert re.match(r"error: \S", done.stderr), done.stderr
    assert "Traceback" not in done.output and "Usage:" not in done.output
    return done.stderr


def test_no_command_is_left_out_here() -> None:
    assert ALL.keys() == WORDS.keys() | WITHOUT_ENDPOINT


@pytest.mark.parametrize("name", ALL)
def test_an_unknown_option_is_wrong_use_and_names_the_help(name: str) -> None:
    said = one_error(invoke(name, "--zzz"), 2)
    assert said == f"error: no such option '--zzz'\n  Type: main {name} --help\n"


@pytest.mark.parametrize("name", [*WORDS, "promote"])
def test_no_stack_in_reach_is_not_an_answer(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PULUMI_BACKEND_URL", tmp_path.as_uri())
    words = ["dev"] if name == "promote" else ["--stack", "dev", *given(name, tmp_path)]
    assert "stack dev: the pulumi command is not on PATH" in one_error(invoke(name, *words), 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", WORDS)
def test_expired_credentials_are_not_an_answer(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws_keys: None
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with refusing() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        words = ["--endpoint", "e", "--region", "us-east-1", *given(name, tmp_path)]
        if name == "console":
            return
        one_error(invoke(name, *words), 3)


@contextmanager
def refusing() -> Iterator[str]:
    """A cloud that has forgotten the caller's session; its address."""

    class Expired(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            said = "<Code>ExpiredToken</Code><Message>The security token is expired.</Message>"
            body = f"<ErrorResponse><Error>{said}</Error></ErrorResponse>".encode()
            if "json" in self.headers.get("Content-Type", "") or "/2015-03-31/" in self.path:
                body = b'{"__type": "ExpiredTokenException", "message": "The security token is expired."}'
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = HTTPServer(("127.0.0.1", 0), Expired)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_an_error_that_nobody_expected_is_no_answer_either(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> Snapshot:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("modelstack.cli.target_options.resolve", broken)
    done = invoke("retrain", "waiting")
    assert (done.exit_code, "ZeroDivisionError: a bug" in done.stderr) == (3, True)


def test_a_question_without_a_yes_is_a_no() -> None:
    @click.command()
    def asks() -> None:
        click.confirm("Sure?", abort=True)

    main.add_command(asks)
    try:
        done = CliRunner().invoke(main, ["asks"], input="n\n")
    finally:
        del main.commands["asks"]
    assert (done.exit_code, done.stderr) == (1, "error: nothing was done: the question was not answered with yes\n")


def test_the_page_has_every_code_once() -> None:
    page = commands_page.PAGE.read_text()
    assert re.findall(r"^\| `(\d+)` \|", page, re.MULTILINE) == ["0", "1", "2", "3", "4", "5", "6", "130"]


def test_an_error_without_a_code_of_its_own_is_a_no() -> None:
    assert OperatorError("x").exit_code == 1
