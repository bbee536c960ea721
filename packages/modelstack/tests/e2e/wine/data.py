"""178 wines of three cultivars with 13 measurements each (UCI), as scikit-learn brings them. They have no dates."""

from __future__ import annotations

from typing import Any

from sklearn.datasets import load_wine


def training(_: Any) -> Any:
    """The table: a name, the true cultivar and the measurements of each wine."""
    raw: Any = load_wine(as_frame=True)
    table = raw.data
    return table.assign(id=[f"wine-{number}" for number in table.index], label=raw.target_names[raw.target])
