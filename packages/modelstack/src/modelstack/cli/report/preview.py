"""Parses `pulumi preview --json`, one event a line, with PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true. Pure.

The other JSON form has no policy findings. Source: Pulumi SDK, `apitype/events.go` (EngineEvent).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from modelstack.cli.errors import REFUSED, WRONG_USE
from modelstack.cli.errors import UNKNOWN as NOT_KNOWN
from modelstack.cli.report.markdown import plain

Kind = Literal["create", "update", "replace", "delete", "same"]
STREAMING = "PULUMI_ENABLE_STREAMING_JSON_PREVIEW"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The engine's placeholder for a text that is not known before the update."""
PACKAGE, ROLLOUT = "pulumi-python:dynamic/modelstack:Package", "pulumi-python:dynamic/modelstack:Rollout"
_KINDS: Mapping[str, Kind] = {
    "create": "create",
    "import": "create",
    "update": "update",
    "delete": "delete",
    "same": "same",
    **dict.fromkeys(("replace", "create-replacement", "delete-replaced", "import-replacement"), "replace"),
}
_CONFIG = re.compile(r"is not valid; nothing was changed:|^modelstack:|^getting stack configuration: invalid ")
"""What the program says of the stack's config, and Pulumi of its file."""
_AWAY = re.compile(
    r"is not known[,:]|does not answer|AWS does not say whose|AccessDenied|ExpiredToken|InvalidClientTokenId"
    r"|valid credential|connection refused|no such host|timed out|no resource plugin|^botocore\.exceptions\.",
    re.IGNORECASE,
)
"""What the program and the providers say where a cloud does not answer or refuses the credentials."""
_PREVIEW_FAILED = "preview failed"  # what the engine says of any failure
_COLORS = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Resource:
    """The change of one resource; `old` is empty for a new one, `new` for a deleted one.

    `name` is its logical name. `replaces` are those of the changed inputs that force a replacement.
    """

    kind: Kind
    type: str
    name: str
    old: Mapping[str, Any] = field(default_factory=dict[str, Any])
    new: Mapping[str, Any] = field(default_factory=dict[str, Any])
    differs: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True)
class PolicyViolation:
    """A policy's finding; `resource` is its logical name, empty for the stack; `stops` if it blocks an update."""

    policy: str
    resource: str
    message: str
    stops: bool


@dataclass(frozen=True)
class Preview:
    """A preview; `resources` has only those managed in the cloud, `code` is Pulumi's exit code.

    `began` says whether the program ran.
    """

    code: int
    resources: tuple[Resource, ...] = ()
    findings: tuple[PolicyViolation, ...] = ()
    errors: tuple[str, ...] = ()
    packs: tuple[str, ...] = ()
    began: bool = False

    @property
    def cause(self) -> str:
        """Why it failed, in a line: a policy's finding, or the first error; the last line of a traceback."""
        for item in self.findings:
            if item.stops:
                return f"policy {item.policy}: {item.message}"
        said = next((text for text in self.errors if text != _PREVIEW_FAILED), "pulumi gave no reason")
        first, *more = [line.strip().removeprefix("- ") for line in said.splitlines() if line.strip()]
        if "Traceback" in said:
            return more[-1]
        return f"{first} {'; '.join(more)}" if first.endswith(":") else first

    @property
    def exit_code(self) -> int:
        """0 where it succeeded; 1 if the checkout is refused, 2 for the stack's config, 3 if that is not known.

        Where the program did not run, Pulumi did not reach its state.
        """
        if self.code == 0:
            return 0
        if any(item.stops for item in self.findings):
            return REFUSED
        if _AWAY.search(self.cause):
            return NOT_KNOWN
        if _CONFIG.search(self.cause):
            return WRONG_USE
        return REFUSED if self.began else NOT_KNOWN

    @property
    def changes(self) -> list[Resource]:
        """Resources that would change."""
        return [item for item in self.resources if item.kind != "same"]

    def only(self, kind: str) -> Resource | None:
        """The first resource of a type that has inputs after the update; None without one."""
        return next((item for item in self.resources if item.type == kind and item.new), None)


def read(lines: Iterable[str], code: int) -> Preview:
    """Parse a preview's output; lines that are no event count as errors if they begin with `error:`."""
    resources: dict[str, Resource] = {}
    findings: dict[PolicyViolation, None] = {}
    errors: dict[str, None] = {}
    packs: dict[str, None] = {}
    began = False
    for line in lines:
        event = _event(line)
        if event is None:
            if line.startswith("error:"):
                errors[line.removeprefix("error:").strip()] = None
            continue
        began = True
        if step := event.get("resourcePreEvent"):
            _take(step["metadata"], resources)
        elif said := event.get("policyEvent"):
            findings[_finding(said)] = None
            packs[str(said.get("policyPackName", "")).partition("|")[0]] = None
        elif (said := event.get("diagnosticEvent")) and said.get("severity") == "error":
            errors[_uncolored(said.get("message", ""))] = None
        elif summary := event.get("summaryEvent"):
            packs |= dict.fromkeys(name.partition("|")[0] for name in summary.get("PolicyPacks") or {})
    told, ran = tuple(text for text in errors if text), tuple(name for name in packs if name)
    return Preview(code, tuple(resources.values()), tuple(findings), told, ran, began)


def _event(line: str) -> Mapping[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _take(step: Mapping[str, Any], resources: dict[str, Resource]) -> None:
    """Record a step. A replacement has several steps, of which one says so."""
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


def _finding(said: Mapping[str, Any]) -> PolicyViolation:
    stops = said.get("enforcementLevel") == "mandatory" and not said.get("exceptions")
    resource = str(said.get("resourceUrn") or "")
    about = "" if "pulumi:pulumi:Stack" in resource else resource.rpartition("::")[2]
    return PolicyViolation(str(said.get("policyName", "")), about, _uncolored(said.get("message", "")), stops)


def _uncolored(message: object) -> str:
    return _COLORS.sub("", str(message)).strip()


def shown(value: object) -> str:
    """An input's value for a reader."""
    if isinstance(value, str) and value == UNKNOWN:
        return "not known yet"
    if type(value) in {dict, list}:
        return plain(json.dumps(value, sort_keys=True), 80)
    return plain(value, 80)
