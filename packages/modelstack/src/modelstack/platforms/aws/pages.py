"""All pages of an operation of SageMaker or CloudWatch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def pages(operation: Callable[..., dict[str, Any]], **request: Any) -> Iterator[dict[str, Any]]:
    """The answers of an operation, page by page, until one has no `NextToken`."""
    page = operation(**request)
    yield page
    while token := page.get("NextToken"):
        page = operation(**request, NextToken=token)
        yield page
