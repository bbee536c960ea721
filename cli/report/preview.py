"""What does a preview say? The lines of `pulumi preview --json`, one event each, as facts. Pure.

    seen = read(lines, code)
    seen.changes, seen.findings, seen.errors

The form is that of `PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true`: the other one holds no findings of policies.

Source: Pulumi SDK, `apitype/events.go` (EngineEvent).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cli.report.markdown import plain

Kind = Literal["create", "update", "replace", "delete", "same"]
STREAMING = "PULUMI_ENABLE_STREAMING_JSON_PREVIEW"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine writes for a text that is not known before the update."""
PACKAGE, ROLLOUT = "pulumi-python:dynamic/modelstack:Package", "pulumi-python:dynamic/modelstack:Rollout"
_KINDS: Mapping[str, Kind] = {
    "create": "create",
    "import": "create",
    "update": "update",
    "delete": "delete",
    "same": "same",
    **dict.fromkeys(("replace", "create-replacement", "delete-replaced", "import-replacement"), "replace"),
}
_COLORS = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Resource:
    """What a preview says of one resource.

    Attributes:
        kind: What would happen to it.
        type: Its type, such as `aws:s3/bucket:Bucket`.
        name: Its logical name.
        old: Its inputs now; empty when it is new.
        new: Its inputs after the update; empty when it goes.
        differs: The inputs that differ.
        replaces: Those of them for which it is made anew.
    """

    kind: Kind
    type: str
    name: str
    old: Mapping[str, Any] = field(default_factory=dict[str, Any])
    new: Mapping[str, Any] = field(default_factory=dict[str, Any])
    differs: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What a policy says.

    Attributes:
        policy: Its name.
        resource: The logical name of the resource; empty when it is about the stack.
        message: In its words.
        stops: Whether an update would stop for it.
    """

    policy: str
    resource: str
    message: str
    stops: bool


@dataclass(frozen=True)
class Preview:
    """A preview.

    Attributes:
        code: The exit code of Pulumi.
        resources: All that are managed in the cloud, in the order in which they were told.
        findings: Of the policies.
        errors: What was wrong, in the words of the program or a provider.
        packs: The policy packs that ran.
    """

    code: int
    resources: tuple[Resource, ...] = ()
    findings: tuple[Finding, ...] = ()
    errors: tuple[str, ...] = ()
    packs: tuple[str, ...] = ()

    @property
    def changes(self) -> list[Resource]:
        """Those to which something would happen."""
        return [item for item in self.resources if item.kind != "same"]

    def only(self, kind: str) -> Resource | None:
        """The first resource of a type that has inputs after the update; None where there is none."""
        return next((item for item in self.resources if item.type == kind and item.new), None)


def read(lines: Iterable[str], code: int) -> Preview:
    """Read a preview.

    Args:
        lines: What it printed; lines that are no event are errors if they say so.
        code: How it ended.
    """
    resources: dict[str, Resource] = {}
    findings: dict[Finding, None] = {}
    errors: dict[str, None] = {}
    packs: dict[str, None] = {}
    for line in lines:
        event = _event(line)
        if event is None:
            if line.startswith("error:"):
                errors[line.removeprefix("error:").strip()] = None
            continue
        if step := event.get("resourcePreEvent"):
            _take(step["metadata"], resources)
        elif said := event.get("policyEvent"):
            findings[_finding(said)] = None
            packs[str(said.get("policyPackName", "")).partition("|")[0]] = None
        elif (said := event.get("diagnosticEvent")) and said.get("severity") == "error":
            errors[_uncolored(said.get("message", ""))] = None
        elif summary := event.get("summaryEvent"):
            packs |= dict.fromkeys(name.partition("|")[0] for name in summary.get("PolicyPacks") or {})
    told = tuple(text for text in errors if text)
    return Preview(code, tuple(resources.values()), tuple(findings), told, tuple(name for name in packs if name))


def _event(line: str) -> Mapping[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _take(step: Mapping[str, Any], resources: dict[str, Resource]) -> None:
    """Note a step. Of a resource that is made anew there are several, and one that says so stays."""
    kind, urn = _KINDS.get(step.get("op", "")), step.get("urn", "")
    old, new = step.get("old") or {}, step.get("new") or {}
    managed = (new or old).get("custom") and not str(step.get("type", "")).startswith("pulumi:")
    if kind is None or not managed:
        return
    known = resources.get(urn)
    if known is not None and known.kind == "replace":
        kind = "replace"
    resources[urn] = Resource(
        kind,
        step["type"],
        urn.rpartition("::")[2],
        old.get("inputs") or (known.old if known else {}),
        new.get("inputs") or (known.new if known else {}),
        tuple(sorted({*(step.get("diffs") or ()), *(known.differs if known else ())})),
        tuple(sorted({*(step.get("keys") or ()), *(known.replaces if known else ())})),
    )


def _finding(said: Mapping[str, Any]) -> Finding:
    stops = said.get("enforcementLevel") == "mandatory" and not said.get("exceptions")
    resource = str(said.get("resourceUrn") or "")
    about = "" if "pulumi:pulumi:Stack" in resource else resource.rpartition("::")[2]
    return Finding(str(said.get("policyName", "")), about, _uncolored(said.get("message", "")), stops)


def _uncolored(message: object) -> str:
    return _COLORS.sub("", str(message)).strip()


def shown(value: object) -> str:
    """A value of an input for a reader; one that is not known says so."""
    if isinstance(value, str) and value == UNKNOWN:
        return "not known yet"
    if type(value) in {dict, list}:
        return plain(json.dumps(value, sort_keys=True), 80)
    return plain(value, 80)
