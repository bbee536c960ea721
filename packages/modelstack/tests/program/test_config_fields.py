"""Each row of the reference of the config is what the code does: values just outside are told, those within pass."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pulumi
import pytest

from modelstack.program.config.page import PAGE, page
from modelstack.program.config.settings import Settings
from tests.program.refusals import load, refusal
from tests.program.strategies import GOOD, STEP, strategy

OWN_WORDS: dict[str, tuple[list[Any], list[Any]]] = {
    "the name of an installed platform, such as aws or kubernetes": (["else", 1], ["aws", "kubernetes"]),
    "1 to 30 lower-case letters, digits and hyphens, a letter first, no hyphen last": (
        ["Flight Delay", "1a", "a-", "a" * 31, ""],
        ["a", "a-1", "a" * 30],
    ),
    "a SageMaker instance type, such as ml.m5.large": (["m5.large", "ml.m5", ""], ["ml.c7g.4xlarge"]),
    "registry/repository@sha256:<64 hexadecimal digits> or registry/repository:<tag>": (
        ["just-a-name", "a/b", "a/b@sha256:1", ""],
        ["a/b:c", f"a/b@sha256:{'0' * 64}"],
    ),
    "the name of another stack of this project": (["", "a b"], ["local-staging"]),
    "a multiple of 60 up to 3600; on local stacks and on Kubernetes also 10, 20 and 30": (
        ["1m", 0, 9, 45, 3601],
        [10, 20, 30, 60, 3600],
    ),
    "a list of at most 10 accounts, each of 12 digits in quotes; on a cluster of groups, such as deployers": (
        ["111122223333", ["a b"], [""], [111122223333], ["111122223333"] * 11],
        [[], ["111122223333", "222233334444"]],
    ),
    "a list of drift and concept, without repetition": (["drift", ["drift", "drift"]], [[], ["concept", "drift"]]),
    "a list of at most 3 different fields of an instance, such as [carrier]": (
        ["carrier", ["a", "a"], ["a", "b", "c", "d"], [""]],
        [[], ["a", "b", "c"]],
    ),
    "a number of cores or thousandths of one, such as 2 or 500m": (
        ["0", "1.5", "500 m", "512Mi", "2k", 2, ""],
        ["500m", "2"],
    ),
    "an amount of memory, such as 512Mi or 2Gi, of at least 64Mi: no model starts in less": (
        ["0", "1.5Gi", "512 Mi", "512", "500m", "1Ti", "1Ki", "63Mi", "65535Ki", "67M", 512, ""],
        ["512Mi", "4Gi", "64Mi", "65536Ki", "68M", "1G"],
    ),
    "1 to 63 lower-case letters, digits and hyphens, a letter or digit first and last": (
        ["Models", "-a", "a-", "a" * 64, "a_b", ""],
        ["a", "9-a", "a" * 63],
    ),
    "3 to 63 lower-case letters, digits, dots and hyphens, a letter or digit first and last": (
        ["Packages", "a/b", "-ab", "ab", "a" * 64, ""],
        ["packages", "a.b-c", "a" * 63],
    ),
    "a list of namespaces and of ranges of addresses, such as [monitoring, 10.0.0.0/28]": (
        ["monitoring", ["Monitoring"], [""], ["10.0.0.0"], ["10.0.0.1/28"], ["a/b"]],
        [[], ["monitoring", "10.0.0.0/28", "fd00::/64"]],
    ),
    "the name of a context of the kubeconfig": ([""], ["arn:aws:eks:eu-west-1:111122223333:cluster/models"]),
    "HOST/PATH or HOST:PORT/PATH, in lower case": (
        ["registry.example.org", "https://registry.example.org/a", "registry/Models", "a:b/c", ""],
        ["registry.example.org/models", "10.99.0.1:5000/a/b"],
    ),
    "a host name in lower case, such as models.example.org": (["Models", "a/b", "-a", ""], ["models.example.org"]),
    "http://HOST:PORT or https://HOST:PORT": (
        ["prometheus:9090", "http://prometheus:9090/", "http://", ""],
        ["http://prometheus.monitoring:9090", "https://prometheus.example.org"],
    ),
    "the name of a request header in lower case, such as x-user-id": (
        ["X-User-Id", "x user", "-x", "x-", "x" * 65, ""],
        ["x-user-id", "cookie", "x" * 64],
    ),
    "a list of 1 to 20, each a section with weight, bake_seconds, approve": (
        [[], 10, [{**STEP, "weight": 1 + at} for at in range(21)]],
        [[{**STEP, "weight": 1 + at} for at in range(20)]],
    ),
    "a list of addresses such as oncall@example.org": (
        ["oncall@example.org", ["oncall"], ["a b@example.org"]],
        [[], ["oncall@example.org", "ml@example.org"]],
    ),
    "a list of ports from 1 to 65535, such as [5000, 9000]": ([5000, [0], [65536]], [[], [1, 65535]]),
    "a section of names and values": ([3, [1]], []),
    "http(s)://HOST[:PORT][/PATH], or the ARN of an mlflow-tracking-server or mlflow-app of SageMaker": (
        [
            "mlflow:5000",
            "ftp://mlflow",
            "sqlite:///mlflow.db",
            "arn:aws:sagemaker:us-east-1:1:mlflow-app/a",
            "http://",
            "",
        ],
        ["http://127.0.0.1:5000", "https://mlflow.example.org/team-a"],
    ),
    "a text of 1 to 250 characters": (["", "a" * 251, 3], ["flights", "a" * 250]),
    "the name of a secret": (["", "a b", "-a", 3], ["mlflow", "team/mlflow"]),
}
"""What is allowed in words that do not read as a range -> values that are not, and values that are."""


@dataclass(frozen=True)
class Row:
    """A row of the page; `kind` is the strategy of the field, or empty."""

    kind: str
    path: str
    allowed: str
    meaning: str

    def config(self, value: Any) -> dict[str, Any]:
        above, _, name = self.path.rpartition(".")
        if name.endswith("[0]"):
            name, value = name.removesuffix("[0]"), [value]
        if above.endswith("[0]"):
            above, name, value = "rollout.strategy", "steps", [{**STEP, name: value}]
        value = strategy(self.kind, **{name: value}) if self.kind else {name: value}
        if above == "kubernetes.bucket":
            value = {"name": "packages", **value}
        for part in reversed(above.split(".") if above else []):
            value = {part: value}
        return value


def rows() -> Iterator[Row]:
    """Every field of the page in the tree, and each section that has no row of its own there."""
    section, kind = "", ""
    fields: dict[tuple[str, str], list[str]] = {}
    for line in PAGE.read_text().splitlines():
        if title := re.fullmatch(r"## `modelstack:(\w+)`", line):
            section, kind = title.group(1), ""
        elif line == "## Beside the sections":
            section, kind = "", ""
        elif title := re.fullmatch(r"### `strategy`, `kind: (\w+)`", line):
            kind = title.group(1)
        elif line.startswith("| `"):
            name, allowed, _, meaning = line.strip("| ").split(" | ", 3)
            name = name.strip("`")
            path = f"{section}.strategy.{name}" if kind else f"{section}.{name}".removeprefix(".")
            path = path.replace("gates.<name>", "gates.auc").replace("<name>", "errors").replace("[]", "[0]")
            above, _, field = path.rpartition(".")
            if (not kind and "." not in name and section) or ".<name>." in name or "[]" in name:
                fields.setdefault((kind, above), []).append(field)
            yield Row(kind, path, allowed.replace("&lt;", "<"), meaning)
    for (kind, path), names in fields.items():
        yield Row(kind, path, f"a section with {', '.join(names)}", "")


ROWS = [*rows()]


def outside_and_within(allowed: str) -> tuple[list[Any], list[Any]]:
    """Values that a row forbids, at least one of another type, and values that it allows."""
    words = allowed.removesuffix(", or null")
    free = ([], [None]) if words != allowed else ([None], [])
    bad, good = _by_words(words)
    return [*bad, *free[0]], [*good, *free[1]]


def _by_words(words: str) -> tuple[list[Any], list[Any]]:
    if words in OWN_WORDS:
        return OWN_WORDS[words]
    if words == "true or false":
        return ["yes", 1], [True, False]
    if named := re.fullmatch(r"one of (the numbers )?(.+)", words):
        known = named.group(2).split(", ")
        return (["1", True, 4000], [*map(int, known)]) if named.group(1) else (["else", 1], known)
    if words.startswith("a section with "):
        return [7, [], "x"], []
    if words == "a text from 1":
        return [1, ""], ["x"]
    ranged = re.fullmatch(r"a (whole )?number(?: from (\S+?)| above (\S+?))?(?:,? (?:up )?to (\S+))?", words)
    assert ranged, f"no values are known that break {words!r}"
    whole, least, above, most = ranged.groups()
    bad: list[Any] = ["1", True, *([1.5] if whole else [float("nan")])]
    good: list[Any] = []
    step = 1 if whole else 1e-9
    if least:
        bad.append(float(least) - step if not whole else int(least) - step)
    if above:
        bad.append(float(above))
    if most:
        bad.append(int(most) + step if whole else float(most) * (1 + 1e-9))
    for end in filter(None, (least, most)):
        good.append(int(end) if whole else float(end))
    return bad, good or [0.5]


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=[f"{row.kind}{row.path}" for row in ROWS])
def test_a_row_says_what_is_allowed_and_what_is_not_is_told_with_field_and_value(row: Row) -> None:
    bad, good = outside_and_within(row.allowed)
    for value in bad:
        if value is None and row.path in Settings.model_fields:
            continue  # an empty section in the file has the defaults
        (line,) = refusal(**row.config(value))
        told, _, rule = line.partition(": allowed is ")
        shown = told.removeprefix(f"modelstack:{row.path} = ")
        assert json.dumps(value).startswith(shown.rstrip("…")), line
        assert len(shown) <= 80
        assert rule.removesuffix("; installed are aws, kubernetes") == row.allowed
    for value in good:
        try:
            load(**row.config(value))
        except pulumi.RunError as error:  # it may not go together with other values, which is told in other words
            assert f"modelstack:{row.path} = {json.dumps(value)}: allowed is " not in str(error)


def test_the_page_in_the_tree_is_made_from_the_present_fields() -> None:
    assert PAGE.read_text() == page(), "the config has changed: run `make docs`"


def test_the_page_has_every_field_once_and_says_what_it_is_and_not_only_what_is_allowed() -> None:
    found = [(row.kind, row.path) for row in ROWS]
    assert len({*found}) == len(found)
    assert {*Settings.model_fields} <= {path for _, path in found}
    assert {kind for kind, _ in found} == {"", *GOOD}
    assert not [row.path for row in ROWS if row.meaning in row.allowed and not row.allowed.startswith("a section")]
    assert "| `instance_count` | a whole number from 1 to 100 | `1` | Instances, or pods, per variant. |" in page()
