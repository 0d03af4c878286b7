"""Print docs/reference/api.md from the OpenAPI document of the running code.

    python bench/api_reference.py > docs/reference/api.md

A test compares the page with this script's output, so the page cannot fall behind.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from muybridge.api.app import create_app
from muybridge.api.face import STATUS
from muybridge.api.video import ERROR_NAMES
from muybridge.config import ServerConfig

SECTIONS = ("videos", "files", "models", "results", "webhooks", "usage", "service")
HEAD = """# HTTP API reference

Printed by `python bench/api_reference.py` from the OpenAPI document, which a running server shows at `/openapi.json`
and, for people, at `/docs`. How to start a server: [serve](../how/serve.md).

Every call but those under *service* and *results* carries `Authorization: Bearer YOUR_KEY`. Bodies are JSON or
`multipart/form-data` (files as parts; nested names as `references[]`, `metadata[order]`). The OpenAI SDKs work
unchanged with `OPENAI_BASE_URL=http://HOST:PORT/v1`; what they do not know is an extension that only adds fields.
"""
HEADERS = """## Headers

| header | on | meaning |
|---|---|---|
| `Idempotency-Key` | every submit | the same key and body within 24 h is the same video; another body is 409 |
| `Last-Event-ID` | the event stream | go on after this event |
| `Range`, `If-None-Match`, `If-Range` | content and links | one range; 206, 304, 416 |
| `x-request-id` | every answer | for the logs; a caller's own is kept |
| `openai-poll-after-ms` | an unfinished video | when to ask again |
| `x-ratelimit-limit-requests`, `-remaining-requests`, `-reset-requests` | submits of keys with a rate | what is left |
| `Retry-After` | 429 | seconds |
| `Deprecation`, `Sunset`, `Link` (`rel="successor-version"`) | answers about an ageing name | RFC 9745, RFC 8594 |
| `X-Model-Requested`, `X-Model-Actual` | answers about a video | the name asked for, the model that runs |
"""
STATES = """## States

`queued` → `in_progress` → `completed`, `failed` or `cancelled`. OpenAI's SDKs know no `cancelled`: they are shown
`failed` with `error.code` `cancelled`. Progress never falls. A result is kept for 24 h (`expires_at`).

## Events

`GET /v1/videos/{video_id}/events` answers `text/event-stream`. `status`: `{"status", ...}`, the last one with the whole
`video`. `progress`: `{"progress", "stage", "eta_seconds"}`. `preview`: `{"image"}`, a data URL. `id` counts from 1.
"""


def kind_of(schema: dict[str, Any]) -> str:
    """A field's type in a word or two."""
    if "anyOf" in schema:
        return " or ".join(kind_of(option) for option in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    return str(schema.get("type", "any"))


def fields_table(schema: dict[str, Any]) -> list[str]:
    """The fields of a body as a table."""
    lines = ["", "| field | type | meaning |", "|---|---|---|"]
    for name, field in schema["properties"].items():
        needed = " (required)" if name in schema.get("required", ()) else ""
        limits = [f"{key} {field[key]}" for key in ("minimum", "maximum", "maxLength", "maxItems") if key in field]
        meaning = " ".join(filter(None, [field.get("description", ""), f"({', '.join(limits)})" if limits else ""]))
        lines.append(f"| `{name}`{needed} | {kind_of(field)} | {meaning} |")
    return lines


def operation_lines(method: str, path: str, operation: dict[str, Any]) -> list[str]:
    """One operation: heading, what it does, its query and its body."""
    lines = [
        "",
        f"### `{method.upper()} {path}`",
        "",
        f"{operation['summary']}. {operation.get('description', '')}".strip(),
    ]
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "query":
            shown = parameter["schema"].get("default")
            default = f", default `{shown}`" if shown is not None else ""
            lines.append(
                f"* `{parameter['name']}`: {kind_of(parameter['schema'])}{default} {parameter.get('description', '')}"
            )
    content = operation.get("requestBody", {}).get("content", {})
    for kind in ("application/json", "multipart/form-data"):
        if kind in content:
            lines += fields_table(content[kind]["schema"])
            break
    return [line.rstrip() for line in lines]


def page() -> str:
    """The whole page."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(ServerConfig(data=Path(folder)))
        document = app.openapi()
        app.state.service.close()
    found: dict[str, list[str]] = {name: [] for name in SECTIONS}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            section = next((tag for tag in reversed(operation.get("tags", ())) if tag in found), None)
            if section is not None:
                found[section] += operation_lines(method, path, operation)
    lines = [HEAD, HEADERS, STATES]
    for section, text in found.items():
        lines += [f"## {section.capitalize()}", *text, ""]
    lines += ["## Errors", "", '`{"error": {"message", "type", "param", "code"}}`; `message` says what to do.', ""]
    lines += ["| class | status | type | code |", "|---|---|---|---|"]
    for name, (kind, code) in ERROR_NAMES.items():
        lines.append(f"| {name} | {STATUS.get(name, 'in the video')} | `{kind}` | `{code}` |")
    lines += ["| anything of ours | 5xx | `server_error` | the class |"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
