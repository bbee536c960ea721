"""Which tag keys does SageMaker take, on whatever operation?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcloud.sagemaker.errors import invalid


def refuse_bad_keys(request: Mapping[str, Any]) -> None:
    """Refuse keys that are AWS's own, and a key that is given twice, in AWS's words.

    Raises:
        ApiError: There is one.
    """
    given = [tag["Key"] for tag in request.get("Tags", ())]
    for key in [*given, *request.get("TagKeys", ())]:
        if key.lower().startswith("aws:"):
            raise invalid(f"System prefix 'aws:' reserved for AWS usage in tag key: {key}")
    for key in given:
        if given.count(key) > 1:
            raise invalid(f"Duplicate tag key: {key}")
