"""A SageMaker of one machine: model registry, hosting with real serving processes, the runtime, jobs and pipelines.

Example:
    >>> service = create(platform)
    >>> await service.start()
    >>> await service.handle("POST", "/", {"x-amz-target": "SageMaker.ListModels"}, b"{}", {})
    (200, {...}, b'{"Models": []}')
"""

from __future__ import annotations

from localcloud.sagemaker.service import SageMaker
from localcloud.server.platform import Platform, Service


def create(platform: Platform) -> Service:
    """Make the `sagemaker` service of a local cloud; it also answers the runtime's `/endpoints/...`."""
    return SageMaker(platform)
