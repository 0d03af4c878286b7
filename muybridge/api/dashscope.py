"""DashScope / Model Studio, HappyHorse's own protocol: submit (asynchronous), query, list, cancel, upload policy.

Wire facts (apis 3): a query answers HTTP 200 whatever became of the task; an unknown or foreign id is a 200 with
task_status UNKNOWN; `code` stands at top level only in errors, because SDK v2 takes a 200 with `code` for one.
"""

from __future__ import annotations

import itertools
import math
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from muybridge.api import face, tickets, wire
from muybridge.api.dashscope_bodies import ERRORS, KEPT_S, Refused, to_body, to_request, to_row, window
from muybridge.errors import InvalidRequest, MuybridgeError, NotFound

if TYPE_CHECKING:
    from muybridge.api.service import Service
    from muybridge.jobs.job import Job

PROTOCOL = "dashscope"
EXAMPLE = {
    "model": "happyhorse-1.1-t2v",
    "input": {"prompt": "A horse at full gallop, its hooves drum on hard sand."},
    "parameters": {"resolution": "720P", "ratio": "16:9", "duration": 5},
}
MAX_LISTED = 10_000  # jobs of one window that a list looks at


def render(error: MuybridgeError, _: Request) -> Response:
    """The protocol's error body: code, message and request_id at top level."""
    status, code = ERRORS.get(error.code, (500, "InternalError"))
    if isinstance(error, Refused):
        status, code = error.answer
    status = getattr(error, "http_status", None) or status
    message = "Invalid API-key provided." if error.code == "auth" else str(error)
    return JSONResponse({"code": code, "message": message, "request_id": str(uuid.uuid4())}, status)


def router(service: Service) -> APIRouter:
    """The routes under /api/v1."""
    api = APIRouter(prefix="/api/v1", route_class=face.protocol_route(render), tags=["DashScope"])

    def answered(body: Mapping[str, Any]) -> JSONResponse:
        return JSONResponse({"request_id": str(uuid.uuid4()), **body})

    @api.post(
        "/services/aigc/{group}/video-synthesis",
        summary="Submit a task",
        openapi_extra=wire.takes(EXAMPLE, X_DashScope_Async="enable"),
    )
    async def submit(group: str, http: Request) -> Response:
        key = await wire.caller(service, http)
        if group not in ("video-generation", "image2video"):
            raise NotFound(f"There is no service {group[:80]!r}.")
        if http.headers.get("x-dashscope-async", "").lower() != "enable":
            raise Refused(403, "AccessDenied", "current user api does not support synchronous calls.")
        body = await face.read_body(http)
        request = to_request(body)
        try:
            service.model_to_run(body["model"])
        except NotFound:
            raise Refused(404, "ModelNotFound", "Model can not be found.") from None
        request = tickets.resolved(request, "oss://")
        job = await wire.accept(service, http, key, PROTOCOL, body["model"], request, body)
        output = {"task_status": "PENDING", "task_id": service.public_id(job, PROTOCOL)}
        answer = answered({"output": output})
        answer.headers.update(service.lifecycle(job))
        return answer

    @api.get("/tasks/{task_id}", summary="Query a task")
    async def query(task_id: str, http: Request) -> Response:
        key = await wire.caller(service, http)
        try:
            job = await face.in_thread(service.get, key, task_id, PROTOCOL)
        except NotFound:
            job = None
        if job is None or (job.completed_at or time.time()) < time.time() - KEPT_S:
            return answered({"output": {"task_id": task_id, "task_status": "UNKNOWN"}})
        base = face.base_url(http, service.config.public_url)
        url = service.media_url(job, "video", base) if job.artifacts else None
        answer = answered(to_body(job, task_id, url))
        answer.headers.update(service.lifecycle(job))
        return answer

    @api.get("/tasks", summary="List tasks")
    @api.get("/tasks/", include_in_schema=False)
    async def list_tasks(
        http: Request,
        task_id: str | None = None,
        start_time: str | None = None,
        end_time: str | None = None,
        model_name: str | None = None,
        status: str | None = None,
        page_no: int = 1,
        page_size: int = 10,
    ) -> Response:
        key = await wire.caller(service, http)
        if page_no < 1 or not 1 <= page_size <= 100:
            raise InvalidRequest("page_no starts at 1; page_size is 1 to 100.", "page_size")
        first, last = window(start_time, end_time, time.time())

        def rows() -> list[tuple[dict[str, Any], Job]]:
            jobs = itertools.islice(wire.jobs_since(service, key, PROTOCOL, first), MAX_LISTED)
            found = ((to_row(job, service.public_id(job, PROTOCOL)), job) for job in jobs if job.created_at <= last)
            wanted = {"task_id": task_id, "model_name": model_name, "status": status}
            return [(r, job) for r, job in found if all(v is None or r[name] == v for name, v in wanted.items())]

        found = await face.in_thread(rows)
        page = found[(page_no - 1) * page_size : page_no * page_size]
        sizes = {"total": len(found), "total_page": math.ceil(len(found) / page_size)}
        data = [row for row, _ in page]  # what v1 and the docs read; SDK v2 reads `tasks`, as queries answer them
        tasks = [to_body(job, row["task_id"])["output"] | {"model_name": job.model} for row, job in page]
        return answered({**sizes, "data": data, "tasks": tasks, "page_no": page_no, "page_size": page_size})

    @api.post("/tasks/{task_id}/cancel", summary="Cancel a task that has not started")
    async def cancel(task_id: str, http: Request) -> Response:
        key = await wire.caller(service, http)
        job = await face.in_thread(service.get, key, task_id, PROTOCOL)
        if job.status != "queued":
            advice = "please confirm if the task is in PENDING status."
            raise Refused(400, "UnsupportedOperation", f"Failed to cancel the task, {advice}")
        await face.in_thread(service.cancel, key, task_id, PROTOCOL)
        return answered({})

    @api.get("/uploads", summary="Get an upload policy")
    async def policy(http: Request, action: str = "", model: str = "") -> Response:
        key = await wire.caller(service, http)
        if action != "getPolicy" or not model:
            raise InvalidRequest("Ask with action=getPolicy and the model the file is for.", "action")
        folder = f"dashscope-instant/{uuid.uuid4().hex}"
        ticket = tickets.mint(service, key, folder, ttl_s=300)
        data = {
            "policy": ticket,
            "signature": ticket.rpartition(".")[2],
            "upload_dir": folder,
            "upload_host": f"{face.base_url(http, service.config.public_url)}{http.url.path}/oss",
            "expire_in_seconds": 300,
            "max_file_size_mb": service.limits.max_video_bytes // 2**20,
            "capacity_limit_mb": service.limits.max_video_bytes // 2**20,
            "oss_access_key_id": key.id,
            "x_oss_object_acl": "private",
            "x_oss_forbid_overwrite": "true",
        }
        return answered({"data": data})

    @api.post("/uploads/oss", summary="Upload a file under a policy")
    async def upload(http: Request) -> Response:
        form = await face.read_body(http)
        ticket = tickets.read(service, wire.field(form, "policy", str, ""))
        name = wire.field(form, "key", str, "")
        if not name.startswith(f"{ticket.folder}/"):
            raise Refused(403, "AccessDenied", "key must lie in the policy's upload_dir.")
        await tickets.receive(service, ticket, tickets.file_id(f"oss://{name}"), form.get("file"))
        return Response(status_code=200)

    return api
