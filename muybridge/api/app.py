"""The HTTP application: collects the protocol faces, opens the state, runs the small background work."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from muybridge import errors
from muybridge.api import native
from muybridge.api.background import run_background
from muybridge.api.edge import Edge
from muybridge.api.face import Render, known
from muybridge.api.limits import Limits
from muybridge.api.service import Check, Service
from muybridge.config import ServerConfig

VERSION = "0.1.0"


@dataclass(frozen=True)
class Face:
    """One protocol: `module` has `router(service) -> APIRouter` and `render(error, request) -> Response`.

    Its real paths are mounted as they are and, where `twin` is set, again under that prefix. `owns` are the path
    prefixes whose unknown paths answer in this protocol's error shape.
    """

    module: str
    twin: str = ""
    owns: tuple[str, ...] = ()
    documented: Literal["real", "twin"] = "real"


# Order matters only where paths are shared: the first face wins (and `edge.shared_path` sends xAI bodies to its twin).
FACES: tuple[Face, ...] = (
    Face("muybridge.api.native", twin="/openai"),
    # before openai: /v1/files/{id}:download is Google's, /v1/files/{id} is not
    Face("muybridge.api.veo", twin="/google", owns=("/v1beta", "/v1beta1", "/google")),
    Face("muybridge.api.openai", twin="/openai", owns=("/v1", "/openai")),
    Face("muybridge.api.dashscope", twin="/dashscope", owns=("/api/v1", "/dashscope")),
    Face("muybridge.api.fal", owns=("/fal",)),
    Face("muybridge.api.runway", twin="/runway", owns=("/runway",)),
    Face("muybridge.api.replicate", twin="/replicate", owns=("/v1/predictions", "/replicate")),
    Face("muybridge.api.ark", twin="/ark", owns=("/api/v3", "/ark")),
    Face("muybridge.api.characters", twin="/openai"),
    Face("muybridge.api.events"),
    Face("muybridge.api.links"),
    Face("muybridge.api.webhooks"),
    Face("muybridge.api.pushes"),
    Face("muybridge.api.health"),
    Face("muybridge.api.xai", twin="/xai", owns=("/xai",), documented="twin"),
)


def create_app(
    config: ServerConfig,
    limits: Limits | None = None,
    faces: tuple[Face, ...] = FACES,
    runner: str | None = None,
    checks: tuple[Check, ...] = (),
) -> FastAPI:
    """The application over its own store and artifacts. A face that is missing or broken fails here, loudly.

    `runner` is what the workers beside it run, where there are some (see `Service.open`); `checks` see each submit.
    """
    service = Service.open(config, limits or Limits(), checks, runner)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with run_background(service):
            yield
        service.close()

    app = FastAPI(
        title="Muybridge",
        version=VERSION,
        lifespan=lifespan,
        description="Video with its sound, from text, pictures, references or a clip. One job, many protocols.",
        docs_url="/docs",
        redoc_url=None,
        redirect_slashes=False,  # a redirected POST is sent twice, or loses its body
    )
    app.state.service = service
    for face in faces:
        _mount(app, face, service)
    _answer_unknown_paths(app, faces)
    direct = {("POST", native.PATH): native.direct_create(service)}
    app.add_middleware(Edge, metrics=service.metrics, limits=service.limits, direct=direct)
    return app


def _mount(app: FastAPI, face: Face, service: Service) -> None:
    module = importlib.import_module(face.module)
    router = module.router(service)
    app.include_router(router, include_in_schema=face.documented == "real")
    if face.twin:
        app.include_router(router, prefix=face.twin, include_in_schema=face.documented == "twin")


def _answer_unknown_paths(app: FastAPI, faces: tuple[Face, ...]) -> None:
    owners: list[tuple[str, Render]] = []
    for face in faces:
        owners += [(prefix, importlib.import_module(face.module).render) for prefix in face.owns]
    owners.sort(key=lambda owner: -len(owner[0]))

    async def answer(request: Request, error: Exception) -> Response:
        shown = known(error, request)
        path = request.url.path
        if isinstance(error, HTTPException):
            shown = errors.InvalidRequest(f"{request.method} {path[:200]}: {error.detail}.")
            shown.http_status = error.status_code  # type: ignore[attr-defined]  # read by face.status_of
        render = next((r for prefix, r in owners if path.startswith(prefix + "/")), owners[-1][1])
        response = render(shown, request)
        if isinstance(error, HTTPException) and error.headers:
            response.headers.update(error.headers)
        return response

    app.add_exception_handler(HTTPException, answer)
    app.add_exception_handler(RequestValidationError, answer)
