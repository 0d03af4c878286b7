"""Request and answer examples for the OpenAPI document: data only. tests/test_api_openapi.py sends them all."""

from __future__ import annotations

from typing import Any

_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_MEDIA: dict[str, Any] = {
    "description": 'An upload id (`file-...`), an https URL, a data URL, a video id, or `{"url"}`, `{"file_id"}`.',
    "anyOf": [{"type": "string"}, {"type": "object"}],
}
_FILE: dict[str, Any] = {"type": "string", "format": "binary"}

CREATE_FIELDS: dict[str, Any] = {
    "prompt": {
        **_TEXT,
        "description": "What is seen, heard and said; words in quotation marks are spoken.",
        "maxLength": 5000,
    },
    "model": {**_TEXT, "description": "A served model, or an alias such as sora-2.", "example": "sora-2"},
    "seconds": {"description": "3 to 15; OpenAI's clients send text.", "anyOf": [_TEXT, _NUMBER], "example": "4"},
    "size": {**_TEXT, "description": "WIDTHxHEIGHT, or 256p, 480p, 720p, 1080p.", "example": "1280x720"},
    "input_reference": {**_MEDIA, "description": "The first frame (OpenAI's name for `image`)."},
    "task": {
        **_TEXT,
        "enum": ["t2v", "i2v", "r2v", "edit", "a2v"],
        "description": "Usually inferred; refused when it does not fit what was given.",
    },
    "image": {**_MEDIA, "description": "First frame."},
    "last_image": {**_MEDIA, "description": "Last frame."},
    "references": {
        "description": "Up to 9 pictures that must stay recognisable; the prompt calls them by name ([Image 1]).",
        "type": "array",
        "maxItems": 9,
        "items": {"anyOf": [_TEXT, {"type": "object"}]},
    },
    "characters": {
        "description": 'Kept characters, as references: `[{"id": "char_..."}]`.',
        "type": "array",
        "items": {"type": "object", "properties": {"id": {"type": "string"}}},
    },
    "video": {**_MEDIA, "description": "The clip to edit."},
    "audio": {**_MEDIA, "description": "A voice track that drives the lips."},
    "ratio": {**_TEXT, "description": "Used with a tier size: 16:9, 9:16, 1:1, 4:3 ...", "example": "16:9"},
    "negative_prompt": {**_TEXT, "description": "What should not be seen or heard.", "maxLength": 5000},
    "seed": {"type": "integer", "minimum": 0, "maximum": 2147483647, "description": "Random unless given."},
    "language": {
        **_TEXT,
        "enum": ["en", "zh", "yue", "ja", "ko", "de", "fr"],
        "description": "Of the speech; usually told by the words.",
    },
    "audio_mode": {
        **_TEXT,
        "enum": ["generate", "keep", "none"],
        "description": "Make the sound with the picture, keep the input's, or none.",
    },
    "dialogue": {
        "type": "array",
        "items": {"type": "object"},
        "description": "Lines: text, speaker, language, register, start_s, end_s.",
    },
    "beats": {
        "type": "array",
        "items": {"type": "object"},
        "description": "What happens when: text, start_s, end_s.",
    },
    "num_inference_steps": {"type": "integer", "minimum": 1, "maximum": 100, "description": "Denoising steps."},
    "guidance_scale": {**_NUMBER, "minimum": 0, "maximum": 20, "description": "1 is no guidance."},
    "watermark": {"type": "boolean", "description": "Default true."},
    "priority": {
        **_TEXT,
        "enum": ["batch", "normal", "interactive"],
        "description": "Interactive jobs overtake batch jobs at their next step.",
    },
    "webhook": {
        "description": 'A URL, or `{"url", "secret"}`, told when this video ends.',
        "anyOf": [_TEXT, {"type": "object"}],
    },
    "routing": {
        "type": "object",
        "description": "For routed models: `prefer` (cheapest, fastest, quality, weighted), `providers`, "
        "`not_providers`, `max_usd`, `deadline_s`, `runs_in` (countries), `allow` (what may change), "
        "`project` (same look).",
    },
    "metadata": {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": "Your labels, given back: at most 16 texts.",
    },
}


def body(
    fields: dict[str, Any], required: list[str], files: tuple[str, ...], samples: dict[str, Any]
) -> dict[str, Any]:
    """`openapi_extra` of a route that takes JSON or a form: one set of fields, files only in the form."""
    schema = {"type": "object", "properties": fields, "required": required}
    form = {"type": "object", "properties": {**fields, **dict.fromkeys(files, _FILE)}, "required": required}
    content: dict[str, Any] = {"multipart/form-data": {"schema": form}}
    if samples:
        named = {name: {"value": value} for name, value in samples.items()}
        content = {"application/json": {"schema": schema, "examples": named}, **content}
    header = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        "description": "The same key with the same body is the same job for 24 h; with another body 409.",
    }
    return {"requestBody": {"required": True, "content": content}, "parameters": [header]}


PICTURE = (  # 64 x 64, one colour
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAT0lEQVR42u3PQQkAAAgEsItjRCMaywi+hcEKLNP1WgQEBAQEBAQE"
    "BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQELgsA5oFL7wUmagAAAABJRU5ErkJggg=="
)
VIDEO_SAMPLE: dict[str, Any] = {
    "id": "video_0193f1a7c5d24e6f8a9b0c1d2e3f4a5b", "object": "video", "created_at": 1795247000, "completed_at": None,
    "expires_at": None, "status": "in_progress", "progress": 40, "model": "sora-2",
    "prompt": "A paper boat on a calm lake.", "seconds": "4", "size": "1280x720", "error": None,
    "remixed_from_video_id": None, "model_actual": "tiny", "task": "t2v", "stage": "base", "eta_seconds": 12.5,
    "cancel_requested": False, "attempt": 1, "ratio": "16:9", "seed": 7, "quote": {"seconds": 21.0, "cost": 0.0},
    "usage": {}, "variants": [], "metadata": {},
}  # fmt: skip
CREATE = body(
    CREATE_FIELDS,
    ["prompt"],
    ("input_reference", "image", "last_image", "video", "audio"),
    {
        "text": {"prompt": "A paper boat on a calm lake.", "seconds": "4", "size": "1280x720", "model": "sora-2"},
        "speech": {
            "prompt": 'A woman says: "Good morning."',
            "seconds": 4,
            "language": "en",
            "metadata": {"order": "42"},
        },
        "first frame": {"prompt": "The picture comes alive.", "image": PICTURE},
        "references": {
            "prompt": "[Image 1] waves.",
            "references": [{"type": "image", "image": PICTURE, "name": "Image 1"}],
        },
    },
)
REMIX = body(
    {"prompt": CREATE_FIELDS["prompt"], "model": CREATE_FIELDS["model"]},
    ["prompt"],
    (),
    {"remix": {"prompt": "At night."}},
)
EDIT = body(
    {k: CREATE_FIELDS[k] for k in ("prompt", "video", "model", "references", "audio_mode", "seed")},
    ["prompt", "video"],
    ("video",),
    {"edit": {"prompt": "Make it snow.", "video": {"id": VIDEO_SAMPLE["id"]}}},
)
EXTENSION = body(
    {k: CREATE_FIELDS[k] for k in ("prompt", "video", "model", "seconds", "seed")},
    ["prompt", "video"],
    ("video",),
    {"extension": {"prompt": "She turns around.", "seconds": "4", "video": {"id": VIDEO_SAMPLE["id"]}}},
)
CHARACTER = body({"name": _TEXT, "video": _MEDIA}, ["name", "video"], ("video",), {})
CHARACTER["requestBody"]["content"].pop("application/json", None)
FILE = body({"file": _FILE, "purpose": _TEXT, "kind": {**_TEXT, "enum": ["image", "video", "audio"]}}, ["file"], (), {})
FILE["requestBody"]["content"].pop("application/json", None)

_ERROR_SAMPLE = {
    "error": {
        "message": "seconds is 2; a shot has 3 to 15 s.",
        "type": "invalid_request_error",
        "param": "seconds",
        "code": "invalid_value",
    }
}  # fmt: skip
ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": _TEXT,
                "type": _TEXT,
                "param": {"anyOf": [_TEXT, {"type": "null"}]},
                "code": {"anyOf": [_TEXT, {"type": "null"}]},
            },
        }
    },
}
_VIDEO_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["id", "object", "created_at", "status", "progress", "model", "seconds", "size"],
    "properties": {
        "id": _TEXT,
        "object": {"const": "video"},
        "created_at": {"type": "integer"},
        "status": {"enum": ["queued", "in_progress", "completed", "failed", "cancelled"]},
        "progress": {"type": "integer", "minimum": 0, "maximum": 100},
        "seconds": _TEXT,
    },
}


def answers(sample: dict[str, Any], schema: dict[str, Any] | None = None) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route: the good answer and the one error shape."""
    good = {"schema": schema or {"type": "object"}, "example": sample}
    bad = {"schema": ERROR_SCHEMA, "example": _ERROR_SAMPLE}
    return {
        200: {"description": "Done", "content": {"application/json": good}},
        "4XX": {"description": "Refused; the body says why", "content": {"application/json": bad}},
    }


VIDEO = answers(VIDEO_SAMPLE, _VIDEO_SCHEMA)
LIST = answers(
    {
        "object": "list",
        "data": [VIDEO_SAMPLE],
        "first_id": VIDEO_SAMPLE["id"],
        "last_id": VIDEO_SAMPLE["id"],
        "has_more": False,
    }
)
DELETED = answers(
    {
        "id": VIDEO_SAMPLE["id"],
        "object": "video.deleted",
        "deleted": True,
        "receipt": {"id": "01...", "files_removed": 3},
    }
)
MODELS = answers(
    {
        "object": "list",
        "data": [
            {
                "id": "sora-2",
                "object": "model",
                "created": 1782086400,
                "owned_by": "muybridge",
                "shutdown_date": None,
                "model_actual": "tiny",
                "successor": "tiny",
                "available": True,
                "why_not": None,
            }
        ],
    }
)
FILES = answers(
    {
        "id": "file-00...",
        "object": "file",
        "bytes": 1234,
        "filename": "face.png",
        "kind": "image",
        "status": "processed",
    }
)
CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": {"video/mp4": {"schema": _FILE}, "image/webp": {"schema": _FILE}}},
    206: {"description": "A part of it", "content": {"video/mp4": {"schema": _FILE}}},
    "4XX": answers({})["4XX"],
}
