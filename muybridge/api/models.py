"""Model names: what is served here, which foreign names are aliases of it, and when each name ends."""

from __future__ import annotations

import calendar
import datetime
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from fnmatch import fnmatchcase
from typing import NamedTuple

from muybridge.config import SIZES
from muybridge.errors import ModelRetired, NotFound
from muybridge.jobs.job import Job
from muybridge.providers.catalog import LOCAL

AUTO = "auto"  # served: every name of the catalogue goes through the router (`muybridge.providers.remote:runner`)


class ModelNotFound(NotFound):
    """No such model here; protocols with a code of their own for that tell it apart from a missing job."""


@dataclass(frozen=True)
class ServedModel:
    """A name as asked for, and what runs. Dates are `YYYY-MM-DD` (UTC midnight)."""

    name: str
    actual: str
    tier: str | None = None  # the size a foreign name stands for, where the caller names none
    deprecated: str | None = None
    sunset: str | None = None  # of the name here, after which it is refused
    successor: str | None = None

    def headers(self) -> dict[str, str]:
        """Lifecycle headers (RFC 9745, RFC 8594): `Deprecation`, `Sunset`, `Link`, and which model really runs.

        Of a routed name only a job can tell that (`job_headers`).
        """
        out = {"X-Model-Requested": self.name}
        if self.actual != AUTO:
            out["X-Model-Actual"] = self.actual
        if self.deprecated:
            out["Deprecation"] = f"@{_unix(self.deprecated)}"
        if self.sunset:
            out["Sunset"] = formatdate(_unix(self.sunset), usegmt=True)
        if self.successor:
            out["Link"] = f'</v1/models/{self.successor}>; rel="successor-version"'
        return out


class Alias(NamedTuple):
    """A pattern of foreign names. `tier` is the size that the name itself promises."""

    pattern: str
    tier: str | None = None
    deprecated: str | None = None
    sunset: str | None = None  # here; None: accepted for good


# The vendor's own dates are facts (apis 17.3); a name whose vendor has ended it stays accepted here, which is what
# people who move from it need.
ALIASES: tuple[Alias, ...] = (
    Alias("sora-2-pro*", "1080p", "2026-03-24"),
    Alias("sora-2*", "720p", "2026-03-24"),
    Alias("happyhorse-1.[01]-*"),  # DashScope
    Alias("happyhorse_1_[01]"),  # Runway
    Alias("alibaba/happy-horse*"),  # fal
    Alias("alibaba/happyhorse*"),  # Replicate
    Alias("wan[0-9]*"),
    Alias("gen[34]*"),
    Alias("veo-*"),
    Alias("gemini-omni-*"),
    Alias("grok-imagine-video*"),
    Alias("seedance-*"),
    Alias("doubao-seedance-*"),
    Alias("dreamina-seedance-*"),
)


def resolve(name: str, served: tuple[str, ...], now: float | None = None) -> ServedModel:
    """What runs for `name`. Raises NotFound for an unknown name, ModelRetired past its sunset."""
    for model in served:
        if name in (model, f"muybridge-{model}", f"muybridge/{model}", f"openai/{model}"):
            return ServedModel(name, model)
    if AUTO in served and (routed := _routed(name)) is not None:
        return routed
    for pattern, tier, deprecated, sunset in ALIASES:
        if fnmatchcase(name, pattern):
            found = ServedModel(name, served[0], tier, deprecated, sunset, served[0] if deprecated else None)
            if found.sunset and _unix(found.sunset) < (now or time.time()):
                raise ModelRetired(f"{name} ended on {found.sunset}; use {found.successor}.", found.successor)
            return found
    hint = " It exists, but this server does not run it." if name in SIZES else ""
    raise ModelNotFound(f"The model {name[:80]!r} does not exist here.{hint} Served: {', '.join(served)}.")


def _routed(name: str) -> ServedModel | None:
    """A name that the router knows: its policy, or a model of the catalogue; `muybridge.providers` does the rest."""
    from muybridge.providers.routing import routing  # late: the catalogue is only read where routing is switched on

    rules = routing()
    catalog = rules.offers()
    if name.partition(":")[0] == AUTO:
        return ServedModel(name, AUTO)
    named = catalog.named(name)
    if not named and name not in catalog.models:
        return None
    model = catalog.models.get(name) or named[0].model
    tier = next((tier for pattern, tier, _, _ in ALIASES if fnmatchcase(name, pattern)), None)
    days = [offer.lifecycle.sunset for offer in named] or [model.lifecycle.sunset]
    last = None if None in days else max(day for day in days if day)  # nobody sells it from then on
    stays = "*" in rules.substitute or name in rules.substitute  # another model stands in then: the name does not end
    ends = model.lifecycle.deprecated or last
    chain = catalog.successors(model.name)
    return ServedModel(
        name,
        AUTO,
        tier,
        ends.isoformat() if ends else None,
        last.isoformat() if last and not stays else None,
        chain[-1] if chain else None,
    )


def listed(served: tuple[str, ...]) -> list[str]:
    """The names to show: what is served, OpenAI's own, and where jobs are routed every model that an account here sells
    today."""
    names = [*served, "sora-2", "sora-2-pro"]
    if AUTO in served:
        from muybridge.providers.routing import routing

        rules, today = routing(), datetime.datetime.now(datetime.UTC).date()
        enabled, lanes = rules.enabled(), rules.lanes()
        for offer in rules.offers().offers:
            here = offer.provider in enabled and (offer.provider == LOCAL or offer.lane in lanes)
            if here and offer.lifecycle.stage(today) in ("available", "deprecated"):
                names.append(offer.model.name)
    return list(dict.fromkeys(names))


def actual_of(job: Job) -> str | None:
    """The model that made a job's clip; until then the one that it was quoted for; None while nobody knows."""
    if job.model_actual and job.model_actual != AUTO:
        return job.model_actual
    return job.quote.get("model_actual") if job.model == AUTO else job.model


def job_headers(lifecycle: Mapping[str, str], job: Job) -> dict[str, str]:
    """Headers of an answer about a job (as `Service` shows it): its name's lifecycle, and what runs or ran for it."""
    out = dict(lifecycle)
    if job.model_actual:
        out["X-Model-Actual"] = job.model_actual
    if job.quote.get("substituted") and job.model_actual:  # another model stands in for the one asked for
        out["Link"] = f'</v1/models/{job.model_actual}>; rel="successor-version"'
    return out


def _unix(date: str) -> int:
    return calendar.timegm(time.strptime(date, "%Y-%m-%d"))
