from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelstack.monitoring.objectives.slo import Objective
from modelstack.platforms.kubernetes.grafana import dashboard
from modelstack.services.declaration.panels import PanelSettings

SETTINGS = PanelSettings(80, segments=True, objective=Objective(0.999, 0.99, 250, 7 * 86_400, 20))
MADE = dashboard("flight-delay-prod", "models", SETTINGS)


def queries(made: dict[str, Any]) -> dict[str, str]:
    intervals = {"$__interval": "60s", "$__rate_interval": "4m"}
    found: dict[str, str] = {}
    for panel in made["panels"]:
        for target in panel["targets"]:
            text = target["expr"]
            for name, value in intervals.items():
                text = text.replace(name, value)
            found[f"{panel['title']}: {target['legendFormat']}"] = text
    return found


def test_no_two_panels_lie_upon_each_other_and_each_has_a_number_and_the_source_of_its_data() -> None:
    cells = Counter(
        (x, y)
        for panel in MADE["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    )
    assert max(cells.values()) == 1
    assert max(x for x, _ in cells) < 24, "Grafana has 24 columns"
    assert len({panel["id"] for panel in MADE["panels"]}) == len(MADE["panels"])
    sources = [one["datasource"] for panel in MADE["panels"] for one in (panel, *panel["targets"])]
    (variable,) = MADE["templating"]["list"]
    assert {source["uid"] for source in sources} == {f"${{{variable['name']}}}"}


def test_no_two_stacks_under_one_grafana_have_one_uid_or_one_title() -> None:
    names = [("models", "e"), ("others", "e"), ("models-e", "f"), ("models", "e-f")]
    places = [*names, *(("models", f"{'a' * 40}{end}") for end in "bc")]
    made = [dashboard(name, namespace, SETTINGS) for namespace, name in places]
    for field in ("uid", "title"):
        assert len({one[field] for one in made}) == len(places), field
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,40}", one["uid"]) for one in made), "all that Grafana takes as a uid"
    assert MADE["uid"] == "89f933501194ad4173a6f3a15748a0c77082b849", "links to it last"


@pytest.mark.needs("prometheus")
def test_prometheus_takes_every_query(tmp_path: Path) -> None:
    rules = [{"record": f"q:{number}", "expr": text} for number, text in enumerate(queries(MADE).values())]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    words = ["promtool", "check", "rules", tmp_path / "rules.yml"]
    checked = subprocess.run(words, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
