"""The custom resources Rollout and ModelPackage, as data for `kubectl apply`, Pulumi and the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.kinds import PACKAGE, ROLLOUT, ResourceKind
from modelstack.rollout.core.live import Approval
from modelstack.services.measuring import BOUNDS, KEYS, WHOLE

CATEGORY = "modelstack"  # `kubectl get modelstack` lists both
AGREED = "agreed"  # the field of a ModelPackage's status with its approvals
Schema = dict[str, Any]


def definitions() -> list[dict[str, Any]]:
    """The CustomResourceDefinitions of Rollout and ModelPackage."""
    return [
        _definition(ROLLOUT, ["mro"], _rollout(), _ROLLOUT_COLUMNS),
        _definition(PACKAGE, ["mpkg"], _package(), _PACKAGE_COLUMNS),
    ]


def _definition(
    kind: ResourceKind, short: list[str], schema: Schema, columns: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": short,
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [*columns, _AGE],
                }
            ],
        },
    }


def _rollout() -> Schema:
    spec = _object(
        {
            "stack": _text("The stack, as commands name it.", least=1),
            "model": _text("The model's name.", least=1),
            "gateway": _text("The Gateway that the route is attached to.", least=1),
            "host": _text("The Host header that the route wants; empty when any will do."),
            "caConfigMap": _text("The ConfigMap whose ca.crt the Gateway's certificate is checked by; may be empty."),
            "prometheus": _text("The URL of Prometheus, seen from inside the cluster.", pattern="^https?://"),
            "periodSeconds": _whole("The time between two looks at a trial.", 1, 3600),
            "capturePercent": _whole("How many percent of the requests are kept.", 0, 100),
            "stickyHeader": _text("The header whose value decides which version answers; empty when none does."),
            "monitoring": _measuring(),
        },
        required=["stack", "model", "gateway", "prometheus"],
        description="What the controller needs to know; written by the Pulumi program.",
    )
    status = _object(
        {
            "revision": {"type": "integer", "format": "int64", "minimum": 0, "description": "Counts the writes."},
            "rolloutId": _text("The present or last rollout."),
            "phase": _text("Where the rollout stands."),
            "champion": _text("The variant that serves."),
            "championVersion": _text("Its ModelPackage, as namespace/name."),
            "challenger": _text("The variant on trial."),
            "challengerVersion": _text("Its ModelPackage, as namespace/name."),
            "weight": _whole("The challenger's percent of the answers, as decided.", 0, 100),
            "weights": {
                "type": "object",
                "description": "The percent of the answers by variant, as decided.",
                "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 100},
            },
            "step": _whole("The step of the trial, from 1; 0 without a trial.", 0, 1000),
            "steps": _whole("The number of steps of the trial; 0 without a trial.", 0, 1000),
            "reason": _text("Why the rollout is where it is."),
            "conditions": _conditions(),
            "state": _text(
                "Internal: the journal as JSON, of which no field is a promise. Only the controllers write it."
            ),
        },
        description="The journal; written by the controllers, on the revision that they read.",
    )
    return _whole_object("What serves, what is on trial, and the verdicts so far.", spec, status)


def _conditions() -> Schema:
    condition = _object(
        {
            "type": _text("Ready, Progressing or Degraded."),
            "status": _choice("Whether it holds.", ["True", "False", "Unknown"]),
            "reason": _text("The phase or the outcome, in one word.", least=1),
            "message": _text("The same for people."),
            "lastTransitionTime": {**_text("Since when."), "format": "date-time"},
            "observedGeneration": {"type": "integer", "format": "int64", "description": "Of the Rollout."},
        },
        required=["type", "status", "reason", "message", "lastTransitionTime"],
        description="A condition of the Kubernetes API conventions.",
    )
    listed = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
    return {"type": "array", "description": "For kubectl wait and Argo CD.", "items": condition, **listed}


def _measuring() -> Schema:
    numbers = {
        KEYS[name]: {"type": "integer" if name in WHOLE else "number", "minimum": low, "maximum": high}
        for name, (low, high) in BOUNDS.items()
    }
    segments = {"type": "array", "items": _text("A field of an instance.", least=1)}
    return _object(
        {**numbers, KEYS["segments"]: segments, KEYS["custom"]: _text("The digest of the project's own metrics.")},
        description="What is measured, and how long it is kept: fields of the config of the same names.",
    )


def _package() -> Schema:
    # What a package holds is decided where packages are published: the names here are those that a person looks for.
    spec = _object(
        {
            "digest": _text("sha256:<hex> of the sealed archive.", pattern="^sha256:[0-9a-f]{64}$"),
            "recipe": _text("sha256, in hex, of what determines the model."),
            "image": _text("The serving image."),
            "manifestSha256": _text("sha256, in hex, of the archive's manifest.json."),
            "archive": _text("Where the archive lies, oci://… or s3://…"),
            "metrics": {
                "type": "object",
                "description": "What the evaluation measured.",
                "x-kubernetes-preserve-unknown-fields": True,
            },
        },
        required=["digest", "archive"],
        description="What the package is; it never changes.",
    )
    spec["x-kubernetes-preserve-unknown-fields"] = True
    status = _object(
        {
            "approval": _choice("The verdict.", get_args(Approval)),
            "why": _text("The reason."),
            "at": {**_text("Since when."), "format": "date-time"},
            AGREED: {
                "type": "array",
                "description": "Who agreed that it may go on trial; written by each of them, through modelstack.",
                "items": _object(
                    {
                        "who": _text("The person, as the API server knows them."),
                        "why": _text("Their reason."),
                        "at": {"type": "number", "description": "When, epoch seconds."},
                    },
                    required=["who", "why", "at"],
                    description="One person's word.",
                ),
            },
        },
        description="The verdict; written by the controllers, or a person through modelstack.",
    )
    return _whole_object("A sealed model version.", spec, status)


def _whole_object(description: str, spec: Schema, status: Schema) -> Schema:
    return {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
    }


def _object(properties: Schema, *, description: str, required: Sequence[str] = ()) -> Schema:
    wanted = {"required": list(required)} if required else {}
    return {"type": "object", "description": description, "properties": properties, **wanted}


def _text(description: str, *, least: int = 0, pattern: str = "") -> Schema:
    bound: Schema = {"minLength": least} if least else {}
    return {"type": "string", "description": description, **bound, **({"pattern": pattern} if pattern else {})}


def _whole(description: str, low: int, high: int) -> Schema:
    return {"type": "integer", "description": description, "minimum": low, "maximum": high}


def _choice(description: str, values: Sequence[str]) -> Schema:
    return {"type": "string", "description": description, "enum": list(values)}


def _column(name: str, path: str, kind: str = "string", **more: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "jsonPath": path, **more}


_AGE = _column("Age", ".metadata.creationTimestamp", "date")
_ROLLOUT_COLUMNS = (
    _column("Phase", ".status.phase"),
    _column("Champion", ".status.champion"),
    _column("Challenger", ".status.challenger"),
    _column("Weight", ".status.weight", "integer", description="The challenger's percent of the answers, as decided."),
    _column("Step", ".status.step", "integer"),
    _column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
    _column("Degraded", '.status.conditions[?(@.type=="Degraded")].status'),
    {**_column("Reason", ".status.reason"), "priority": 1},
)
_PACKAGE_COLUMNS = (
    _column("Approval", ".status.approval"),
    _column("Digest", ".spec.digest"),
    _column("Why", ".status.why"),
)
