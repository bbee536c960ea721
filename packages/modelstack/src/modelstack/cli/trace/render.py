"""The chain of a prediction as text, a line for each fact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from rich.table import Table
from rich.text import Text

from modelstack.cli.trace.answer import TRAINING, Deed, Role, Trace
from modelstack.cli.view.times import when
from modelstack.records.lineage.graph import DIGITS, Verb

_ROLES: Mapping[Role, str] = {
    "champion": "the champion then",
    "challenger": "on trial then",
    "copy": "on trial then: it answered a copy of the request, and nobody got that answer",
    "": "whether it was the champion then is not known",
}
_TRAINING: Mapping[str, str] = {
    "asked": "its training asked for by",
    "approved": "its training agreed to by",
    "declined": "its training declined by",
    "began": "its training begun by",
}
_UNKNOWN = "not known"
_FIRST = ("by", "execution", "at")


def render(found: Trace, command: str) -> Table:
    """The chain as rows; `command` is the beginning of a command, such as `modelstack --stack prod`."""
    rows = Table(box=None, pad_edge=False, show_header=False)
    rows.add_column(no_wrap=True, style="dim")
    rows.add_column(overflow="fold")
    for name, text in _rows(found, command):
        rows.add_row(name, Text(" ".join(text.split())))
    return rows


def _rows(found: Trace, command: str) -> Iterator[tuple[str, str]]:
    one = found.prediction
    yield "prediction", " ".join(filter(None, (one.inference, one.event and f"event {one.event}")))
    yield "answered", _time(one.at)
    yield "by", f"{one.variant} on {found.endpoint}, {_ROLES[found.role]}{_share(found)}"
    for other in found.others:
        yield "also", f"{other.variant} at {_time(other.at)}, event {other.event or _UNKNOWN}"
    if not found.package:
        knows = (
            "nothing that was looked at knows" if found.unread else "neither audit record, journal nor registry knows"
        )
        yield "release", f"{found.release}: {knows} of it any more"
        yield from (("not looked at", said) for said in found.unread)
        return
    for deed in (one for one in found.people if one.did == Verb.BEGAN):
        yield "released by", _person("", deed)
    version = found.version
    yield "release", f"{found.release}: {version['name']}, {version['approval']}" if version else found.release
    rollout = found.rollout
    yield "rollout", f"{rollout['id']}, {rollout['outcome']}" if rollout else f"{_UNKNOWN}: the audit record has none"
    if found.returned:
        yield "served again", f"{when(found.returned['at'])}: {found.returned['why']}"
    for deed in (one for one in found.people if one.did != Verb.BEGAN):
        yield "", _person(_words(deed), deed)
    yield "package", found.package
    yield from _making(found)
    yield from (("not looked at", said) for said in found.unread)
    yield "more", f"{command} lineage {_short(found.package)}"


def _making(found: Trace) -> Iterator[tuple[str, str]]:
    made, data, commit = found.made, found.data, found.commit
    if not made:
        yield "made by", f"{_UNKNOWN}: nothing is proven of this package"
        return
    more = "".join(f", {name.replace('_', ' ')} {value}" for name, value in made.items() if name not in _FIRST)
    execution = f", execution {made['execution']}" if made["execution"] else ""
    at = made["at"]
    with suppress(ValueError):  # an engine may say it in its own way
        at = when(at)
    yield "made by", f"{made['by']}{execution}{more}, {at}"
    files = ", ".join(f"{one['name']} {one['sha256'][:DIGITS]}" for one in data["files"])
    yield "data", f"sha256 {data['sha256']}{f' ({files})' if files else ''}"
    if not commit["commit"]:
        of = made.get("retrained_from")
        why = (
            f"its code is that of package {_short(of)}"
            if of
            else "it was built outside git, or of a package's own code"
        )
        yield "commit", f"{_UNKNOWN}: {why}"
        return
    remote = f" of {commit['remote']}" if commit["remote"] else ""
    yield "commit", f"{commit['commit']}{remote}{', but files differed from it' if commit['dirty'] else ''}"


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:DIGITS]


def _words(deed: Deed) -> str:
    if deed.did.startswith(TRAINING):
        return _TRAINING[deed.did.removeprefix(TRAINING)]
    return "taken from another stack by" if deed.did == Verb.PROMOTED else Verb(deed.did).by


def _person(words: str, deed: Deed) -> str:
    who = deed.who.removeprefix("function ").rpartition(":")[2]
    return f"{words} {who}, {when(deed.at)}{f': {deed.why}' if deed.why else ''}"


def _share(found: Trace) -> str:
    if found.percent is None or found.role not in {"challenger", "copy"}:
        return ""
    return (
        f" ({found.percent:g}% of the requests)" if found.role == "challenger" else f" ({found.percent:g}% were copied)"
    )


def _time(at: float | None) -> str:
    return _UNKNOWN if at is None else when(at)
