"""What the API process does besides answering: send webhooks, requeue lost jobs, clear away what has expired."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from anyio import to_thread

from muybridge.api import webhooks
from muybridge.jobs import artifacts

if TYPE_CHECKING:
    from muybridge.api.service import Service

log = logging.getLogger("muybridge.api")
UPLOAD_TTL_S = 2 * 86_400.0
REQUEST_FILES = ("image", "last_image", "video", "audio")


@asynccontextmanager
async def run_background(service: Service) -> AsyncIterator[None]:
    """Run the chores until the context ends."""
    chores: tuple[tuple[Callable[[Service], object], float], ...] = (
        (webhooks.deliver_due, 0.5),
        (reap, 5.0),
        (note_key_use, 10.0),
        (sweep, 60.0),
    )
    tasks = [asyncio.create_task(repeat(chore, service, every_s)) for chore, every_s in chores]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def repeat(chore: Callable[[Service], object], service: Service, every_s: float) -> None:
    """Do a chore again and again; a failure is logged and tried again."""
    while True:
        await asyncio.sleep(every_s)
        try:
            await to_thread.run_sync(chore, service)
        except Exception:  # the next round tries again; the server must not die of a chore
            log.exception("background chore %s", getattr(chore, "__name__", chore))


def reap(service: Service) -> None:
    """Give jobs of dead workers back. Workers do this as well; here for when all of them died."""
    service.store.reap()


def note_key_use(service: Service) -> None:
    """Write down when keys were last used."""
    service.keys.flush()


def sweep(service: Service) -> None:
    """Remove expired results and uploads older than two days that no waiting or running job needs."""
    artifacts.sweep(service.store, service.artifacts)
    service.uploads.sweep(time.time() - UPLOAD_TTL_S, files_in_use(service))


def files_in_use(service: Service) -> frozenset[str]:
    """Every input file of a job that has not ended."""
    paths: set[str] = set()
    for status in ("queued", "in_progress"):
        after: str | None = None
        while page := service.store.list(None, after, 500, "desc", status):
            for job in page:
                paths.update(str(job.request[name]) for name in REQUEST_FILES if job.request.get(name))
                paths.update(str(r["image"]) for r in job.request.get("references") or ())
            after = page[-1].id
    return frozenset(paths)
