"""Commands on records: audit verify, audit export, audit show, lineage, trace."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from modelstack.cli.errors import OperatorError
from modelstack.cli.options import Time, When, Whole, as_json_option
from modelstack.cli.page import give, page, say
from modelstack.cli.target import NoStack
from modelstack.cli.target_options import Command, TargetOptions, find
from modelstack.cli.view.releases import journal_state
from modelstack.monitoring.predictions import LONGEST, Window

_HALF_AN_HOUR, _DAY = 1800.0, 86_400.0


@click.group()
def audit() -> None:
    """Verify, export and show the record of releases, verdicts, approvals and exemptions."""


@audit.command(cls=Command)
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    default=None,
    help="A file with the public key, in PEM or DER form. By default the stack's key is asked for.",
)
@as_json_option
@click.pass_obj
def verify(asked: TargetOptions, key: Path | None, as_json: bool) -> None:
    """Tell whether the record is as it was written: no record changed, missing, in another place, or of another hand.

    The records, in the bucket or in PostgreSQL, are held against the stack's key, against each other, and against the
    journal, which knows the newest one.

    Exits with 1 when a record is not as it was written, and names the first one.
    """
    from modelstack.cli.view import audit_records  # noqa: PLC0415 - only these commands need it

    seen = audit_records.verify(find(asked), key)
    say(json.dumps(audit_records.as_dict(seen), indent=2) if as_json else audit_records.told(seen))
    sys.exit(0 if seen.finding is None else 1)


@audit.command(cls=Command)
@click.pass_obj
def export(asked: TargetOptions) -> None:
    """Print every record with its signature, one a line (JSON Lines), as they are kept.

    What is printed can be verified without modelstack.
    """
    from modelstack.cli.view import audit_records  # noqa: PLC0415 - only these commands need it

    for line in audit_records.kept(find(asked)):
        give(line)


@audit.command(cls=Command)
@click.option("--last", type=Whole(1), default=30, show_default=True, help="At most so many, the newest.")
@click.pass_obj
def show(asked: TargetOptions, last: int) -> None:
    """Show the newest records in a table: what happened, to which release, by whom, and why.

    Nothing is verified: for that, type `modelstack audit verify`.
    """
    from modelstack.cli.view import audit_records  # noqa: PLC0415 - only these commands need it

    target = find(asked)
    end = journal_state(target).audit
    page().print(audit_records.table(audit_records.kept(target)[-last:], end))


@click.command(cls=Command)
@click.argument("digest", required=False)
@as_json_option
@click.option(
    "--openlineage",
    "to",
    metavar="FILE|URL",
    default=None,
    help="Write it as run events of OpenLineage to a file, one a line, or send each to a URL. A service's key is taken "
    "from OPENLINEAGE_API_KEY.",
)
@click.pass_obj
def lineage(asked: TargetOptions, digest: str | None, as_json: bool, to: str | None) -> None:
    """Show where the package DIGEST came from, and where it went: from data and commit to every endpoint and person.

    DIGEST is the digest of a package, the first digits of it, or any name of its release. Without it, the champion's
    is shown.

    What is shown of its making is what the stack has signed, and was verified. Registered versions, rollouts, and who
    did what are those of the registry and the audit record, of this stack and of the others of the project that the
    shell's credentials may read.
    """
    from modelstack.cli.lineage.read import read  # noqa: PLC0415 - only this command needs it
    from modelstack.cli.lineage.tree import tree  # noqa: PLC0415

    graph = read(find(asked), digest)
    if to is not None:
        from modelstack.cli.lineage.send import send  # noqa: PLC0415
        from modelstack.records.lineage.openlineage import events  # noqa: PLC0415

        say(send(events(graph), to), err=True)
    if as_json:
        say(json.dumps(graph.as_dict(), indent=2))
    else:
        page().print(tree(graph))


@click.command(cls=Command)
@click.argument("id")
@click.option("--at", type=Time(), default=None, help="It was given within half an hour of this time, or on this day.")
@click.option("--since", type=Time(), default=None, help="It was given at this time or later.")
@as_json_option
@click.pass_obj
def trace(asked: TargetOptions, id: str, at: When | None, since: When | None, as_json: bool) -> None:
    """Show which version gave the prediction ID, and where that one came from: rollout, package, data, commit, people.

    ID is the inference id that the caller sent with the request, the event id that capture gave it, or the first
    characters of one, at least four.

    An inference id is found at once in the ledger of labels, for 45 days. Else the captures are looked through, the
    newest first: --at and --since say where to begin and where to end. A time is in UTC, such as 2026-03-01T09:30.

    What is shown of the package's making is what the stack has signed, and was verified.
    """
    from modelstack.cli.trace.read import read  # noqa: PLC0415 - only this command needs it
    from modelstack.cli.trace.render import render  # noqa: PLC0415

    if not 0 < len(id) <= LONGEST:
        raise OperatorError(f"ID has {len(id)} characters; expected are 1 to {LONGEST}", None, 2)
    try:
        target = find(asked)
    except NoStack as error:
        gone = "If `make down` has ended it, its predictions went with it: a new stack does not know them."
        raise OperatorError(str(error), f"{gone}\n{error.hint}", error.exit_code) from None
    found = read(target, id, _window(at, since))
    if as_json:
        say(json.dumps(found.as_dict(), indent=2))
    else:
        page().print(render(found, target.commands.modelstack))


def _window(at: When | None, since: When | None) -> Window:
    """The time window of the options; OperatorError if both are given."""
    if at and since:
        raise OperatorError("--at and --since both say when it was", "Give one of them.", 2)
    if since:
        return Window(since=since.at)
    if at:
        return Window(at.at, at.at + _DAY) if at.day else Window(at.at - _HALF_AN_HOUR, at.at + _HALF_AN_HOUR)
    return Window()
