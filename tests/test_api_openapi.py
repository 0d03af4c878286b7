"""The OpenAPI document: its examples work, all of it is described, and nothing drawn from it breaks the server."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from muybridge.api.app import FACES, create_app
from muybridge.api.limits import Limits
from muybridge.config import ServerConfig

# No example may wait for a worker (there is none): synchronous faces give up at once.
QUICK = Limits(sync_timeout_s=0.05, fetch_timeout_s=1.0)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    app = create_app(ServerConfig(data=tmp_path_factory.mktemp("openapi")), QUICK)
    with TestClient(app) as made:
        made.headers["Authorization"] = f"Bearer {app.state.service.keys.create('openapi')[1]}"
        yield made


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json())


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in ("get", "post", "put", "patch", "delete")
    ]


def test_every_operation_is_described_and_named_once(document: dict[str, Any]) -> None:
    found = operations(document)
    assert len(found) >= 25
    assert [path for path, _, operation in found if not operation.get("summary")] == []
    ids = [operation["operationId"] for _, _, operation in found]
    assert len(ids) == len(set(ids))


def test_native_and_openai_paths_are_all_there(document: dict[str, Any]) -> None:
    wanted = {
        "/v1/videos": {"get", "post"},
        "/v1/videos/{video_id}": {"get", "delete"},
        "/v1/videos/{video_id}/cancel": {"post"},
        "/v1/videos/{video_id}/content": {"get"},
        "/v1/videos/{video_id}/events": {"get"},
        "/v1/videos/{video_id}/remix": {"post"},
        "/v1/videos/edits": {"post"},
        "/v1/videos/extensions": {"post"},
        "/v1/videos/characters": {"post"},
        "/v1/files": {"get", "post"},
        "/v1/models": {"get"},
        "/v1/usage": {"get"},
        "/v1/webhooks": {"get", "post"},
        "/health/live": {"get"},
        "/health/ready": {"get"},
        "/metrics": {"get"},
    }
    for path, methods in wanted.items():
        assert methods <= set(document["paths"].get(path, {})), path


def test_the_examples_of_create_are_accepted(client: TestClient, document: dict[str, Any]) -> None:
    body = document["paths"]["/v1/videos"]["post"]["requestBody"]["content"]["application/json"]
    assert len(body["examples"]) >= 4
    for name, example in body["examples"].items():
        answer = client.post("/v1/videos", json=example["value"])
        assert answer.status_code == 200, (name, answer.text)
        shown = set(
            document["paths"]["/v1/videos"]["post"]["responses"]["200"]["content"]["application/json"]["example"]
        )
        assert shown <= set(answer.json()), name  # the document leaves out what is null


def test_the_examples_of_the_others_fail_only_for_want_of_the_video(
    client: TestClient, document: dict[str, Any]
) -> None:
    for path in ("/v1/videos/edits", "/v1/videos/extensions", "/v1/videos/{video_id}/remix"):
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        for example in content["examples"].values():
            answer = client.post(path.replace("{video_id}", "video_" + "0" * 32), json=example["value"])
            assert answer.status_code == 404, (path, answer.text)


def test_every_field_of_the_document_is_read(client: TestClient, document: dict[str, Any]) -> None:
    """A documented field with a wrong type is refused by its name: so it is looked at."""
    fields = document["paths"]["/v1/videos"]["post"]["requestBody"]["content"]["application/json"]["schema"][
        "properties"
    ]
    for name in fields:
        answer = client.post("/v1/videos", json={"prompt": "x", name: [[[1]]]})
        assert answer.status_code in (400, 404), name
        assert answer.json()["error"]["param"] in (name, "image") or name in answer.json()["error"]["message"], name


def test_the_reference_page_is_what_the_code_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[1]
    monkeypatch.syspath_prepend(str(root / "bench"))
    api_reference = importlib.import_module("api_reference")
    shown = (root / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    assert shown == api_reference.page(), "run: python bench/api_reference.py > docs/reference/api.md"


@pytest.mark.slow
def test_nothing_drawn_from_the_document_breaks_the_server(tmp_path: Path) -> None:
    """schemathesis: for every operation, inputs that fit the document and inputs that do not; never a 5xx."""
    schemathesis = pytest.importorskip("schemathesis")
    import hypothesis

    app = create_app(ServerConfig(data=tmp_path), QUICK)
    headers = {"Authorization": f"Bearer {app.state.service.keys.create('fuzz')[1]}"}
    allowed = {"/health/ready"}  # 503 is its answer without a worker
    broken: list[str] = []
    calls = 0
    with TestClient(app, raise_server_exceptions=False):
        schema = schemathesis.openapi.from_asgi("/openapi.json", app)
        for found in schema.get_all_operations():
            operation = found.ok()

            @hypothesis.settings(
                max_examples=25, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
            )
            @hypothesis.given(case=operation.as_strategy())
            def fuzz(case: Any) -> None:
                nonlocal calls
                calls += 1
                answer = case.call(headers=headers)
                if answer.status_code >= 500 and case.path not in allowed and answer.status_code not in (501, 504):
                    broken.append(f"{case.method} {case.formatted_path} {case.body!r:.300}: {answer.text:.300}")

            fuzz()
    assert calls > 300
    assert broken == []


def test_every_face_can_be_loaded() -> None:
    assert len(FACES) >= 6
