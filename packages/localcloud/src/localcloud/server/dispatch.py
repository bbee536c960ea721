"""The way of a request into ministack: parsed first, authorised and performed by what was parsed.

What ministack serves beside its router is left out: the paths and hosts of services that this cloud does not serve.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from ministack import app
from ministack.core import router
from ministack.services import s3

from localcloud.server import policies, requests, s3_requests
from localcloud.server.platform import Answer
from localcloud.server.refusals import malformed


def install(services: Set[str]) -> None:
    """Have every request to these services (by router name) read once."""
    dispatch, serve_by_host = app._dispatch_service_request, app._handle_s3_vhost_request

    async def dispatch_request(*parts: Any) -> Answer:
        method, path, headers, body, query, request_id = parts
        policies.undecided.set("")
        parameters = app._routing_params(method, path, headers, body, query)
        service = router.detect_service(method, path, headers, parameters)
        try:
            if service == "s3":
                s3_requests.check(method, path, headers, body, query)
            elif service in services:
                body = app._decompress_request_body(body, headers)
                request = requests.read(service, requests.Sent(method, path, headers, body, query))
                requests.current.set(request)
                body, query = request.body, request.query
            answer: Answer = await dispatch(method, path, headers, body, query, request_id)
        except requests.BadRequest as error:
            return malformed(service, headers, error)
        return answer

    async def serve_s3_by_host(host: str, *parts: Any) -> Any:
        path, method, headers, body, query = parts
        bucket = app._extract_s3_vhost_bucket(host)
        try:
            if bucket:
                s3_requests.check(method, f"/{bucket}{path}", headers, body, query)
        except requests.BadRequest as error:
            return malformed("s3", headers, error)
        return await serve_by_host(host, *parts)

    async def serve_beside_the_router(*parts: Any, **_: object) -> Any:
        method, path, headers, body, query, request_id = parts
        answer = await app._handle_ecr_registry_request(method, path, headers, body, query)
        if answer:
            return app._with_data_plane_headers(answer, request_id)
        host = headers.get("host", "")
        answer = await serve_s3_by_host(host, path, method, headers, body, query)
        if not answer:
            return None
        if target := app._s3_cors_target(host, path, path_style=False):
            answer[1].update(s3.cors_response_headers(target[0], method, headers))
        return app._with_data_plane_headers(answer, request_id, include_s3_id=True, wildcard_cors=False)

    app._dispatch_service_request = dispatch_request
    app._handle_special_data_plane_request = serve_beside_the_router
