"""The body of the CloudWatch dashboard.

Source: Amazon CloudWatch API Reference, "Dashboard body structure and syntax".
"""

from __future__ import annotations

import json
from typing import Any

from modelstack.platforms.aws.names import Names
from modelstack.platforms.aws.panels import panels
from modelstack.services.declaration.panels import Panel, PanelSettings

WIDTH, HEIGHT = 12, 6
Widget = dict[str, Any]


def body(names: Names, settings: PanelSettings) -> str:
    """The body as canonical JSON. A new release does not change it."""
    text = f"# {names.endpoint}\nChampion and challenger, by variant. Alarms: `{names.prefix}-v-*`."
    widgets = [
        {"type": "text", "properties": {"markdown": text}},
        *(_widget(panel, names.region) for panel in panels(names.endpoint, settings)),
    ]
    placed = [{**widget, **_place(index)} for index, widget in enumerate(widgets)]
    return json.dumps({"widgets": placed}, sort_keys=True, ensure_ascii=False)


def _widget(panel: Panel, region: str) -> Widget:
    spec, is_budget = panel.spec, panel.spec.kind == "budget"
    # A search without a label shows only what distinguishes its curves.
    labels = [{"label": query.label} if query.label else {} for query in panel.queries]
    curves = [
        [{"expression": query.text, "id": query.label if is_budget else f"e{index}", **label}]
        for index, (query, label) in enumerate(zip(panel.queries, labels, strict=True), start=1)
    ]
    properties: dict[str, Any] = {"title": spec.title, "region": region, "metrics": curves}
    if is_budget:
        minutes = spec.seconds // 60
        properties |= {"view": "singleValue", "period": spec.seconds, "start": f"-PT{minutes}M", "end": "P0D"}
    else:
        axis = {"min": 0, "label": spec.unit, "showUnits": False}
        properties |= {"view": "timeSeries", "yAxis": {"left": axis}}
    if spec.line is not None:
        properties["annotations"] = {"horizontal": [{"label": "alarm", "value": spec.line}]}
    return {"type": "metric", "properties": properties}


def _place(index: int) -> dict[str, int]:
    if index == 0:
        return {"x": 0, "y": 0, "width": 2 * WIDTH, "height": 2}
    row, column = divmod(index - 1, 2)
    return {"x": column * WIDTH, "y": 2 + row * HEIGHT, "width": WIDTH, "height": HEIGHT}
