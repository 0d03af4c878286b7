"""The catalogue as typed data: models, offers (a model at a provider in a region), their prices and their dates.

`catalog.toml` says what the columns mean. Nothing here knows the present: every question takes the day it is about.
"""

from __future__ import annotations

import datetime
import functools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from muybridge.errors import UserError
from muybridge.providers.price import Measure, Price, micros, read_price

Stage = Literal["announced", "available", "deprecated", "retired"]
TIER_ORDER = ("256p", "360p", "480p", "540p", "720p", "768p", "1080p", "2k", "4k")
SHORT_SIDE = {"2k": 1440, "4k": 2160} | {t: int(t[:-1]) for t in TIER_ORDER if t.endswith("p")}
LOCAL = "local"  # the provider that is our own engine


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The days of a model's life; `successor` is a model of the catalogue."""

    announced: datetime.date | None = None
    available: datetime.date | None = None
    deprecated: datetime.date | None = None
    sunset: datetime.date | None = None
    successor: str | None = None

    def stage(self, day: datetime.date) -> Stage:
        """Where the model stands on a day. On its sunset day it is already gone."""
        if self.sunset is not None and day >= self.sunset:
            return "retired"
        if self.available is not None and day < self.available:
            return "announced"
        if self.deprecated is not None and day >= self.deprecated:
            return "deprecated"
        return "available"


@dataclass(frozen=True, slots=True)
class Model:
    """What a model can do, whoever sells it. Lengths in seconds; `choices` empty means every whole second."""

    name: str
    family: str
    tasks: frozenset[str]
    min_s: float
    max_s: float
    choices: tuple[float, ...]
    tiers: tuple[str, ...]
    ratios: frozenset[str]
    only: tuple[tuple[str, str, tuple[float, ...]], ...] = ()  # ("tier" or "task", its name, lengths)
    references: tuple[int, int] = (0, 0)
    edit_references: int = 0
    last_image: bool = False
    audio: Literal["always", "optional", "never"] = "never"
    keep_audio: bool = False
    lip_sync: bool = False
    languages: frozenset[str] = frozenset()
    seed: bool = False
    negative_prompt: bool = False
    max_prompt_chars: int = 5000
    any_length: bool = False  # not only whole seconds: our own engine
    lifecycle: Lifecycle = Lifecycle()
    licence: str = "unread"
    note: str = ""
    source: str = ""
    as_of: datetime.date | None = None

    def lengths(self, task: str, tier: str) -> tuple[float, ...]:
        """The lengths offered for a task at a tier; empty: every whole second from min_s to max_s."""
        for kind, name, seconds in self.only:
            if name == (tier if kind == "tier" else task):
                return seconds
        return self.choices


@dataclass(frozen=True, slots=True)
class Offer:
    """One model at one provider in one region. `key` names it everywhere: `provider/model@region`."""

    key: str
    provider: str
    region: str
    model: Model
    ids: Mapping[str, str]
    tiers: tuple[str, ...]
    runs_in: frozenset[str]
    price: Price | None
    rate_ppm: int
    lifecycle: Lifecycle
    note: str = ""
    source: str = ""
    as_of: datetime.date | None = None
    lane: str = ""  # provider@region: what shares one account and one fate, the unit of health

    def id_of(self, task: str) -> str:
        """The seller's name of the model for a task."""
        return self.ids.get(task) or self.ids["all"]

    def does(self, task: str) -> bool:
        """Whether the seller offers the task."""
        return task in self.model.tasks and (task in self.ids or "all" in self.ids)

    def cost(self, measure: Measure, day: datetime.date) -> int | None:
        """Millionths of a US dollar on a day; None where no price is known for this."""
        return None if self.price is None else micros(self.price, measure, self.rate_ppm, day)


@dataclass(frozen=True, eq=False)
class Catalog:
    """All models and offers of one version. Equal only to itself, so that what follows from it can be kept by it."""

    version: str
    models: Mapping[str, Model]
    offers: tuple[Offer, ...]
    sources: Mapping[str, Mapping[str, Any]]
    rates_ppm: Mapping[str, int]
    by_name: Mapping[str, tuple[Offer, ...]] = field(default_factory=dict)

    def named(self, name: str) -> tuple[Offer, ...]:
        """Offers that a name means: a model or a seller's id for it (whoever sells it), or `provider/...` of one."""
        return self.by_name.get(name, ())

    def with_offers(self, offers: Iterable[Offer]) -> Catalog:
        """A catalogue with more offers; one with a known key replaces it."""
        merged = {o.key: o for o in (*self.offers, *offers)}
        models = {**self.models, **{o.model.name: o.model for o in merged.values()}}
        return indexed(replace(self, offers=tuple(merged.values()), models=models))

    def successors(self, name: str) -> tuple[str, ...]:
        """The chain of successors of a model, in order."""
        chain: list[str] = []
        model = self.models.get(name)
        while model is not None and (following := model.lifecycle.successor) and following not in chain:
            chain.append(following)
            model = self.models.get(following)
        return tuple(chain)


def indexed(catalog: Catalog) -> Catalog:
    """The catalogue with its index of names."""
    found: dict[str, list[Offer]] = {}
    sellers: dict[str, set[str]] = {}
    for offer in catalog.offers:
        for name in {offer.key, f"{offer.provider}/{offer.model.name}"}:
            found.setdefault(name, []).append(offer)
        for seller in set(offer.ids.values()):
            found.setdefault(f"{offer.provider}/{seller}", []).append(offer)
        sellers.setdefault(offer.model.name, set()).update(offer.ids.values())
    for offer in catalog.offers:
        for name in {offer.model.name, *sellers[offer.model.name]}:
            if offer not in found.setdefault(name, []):
                found[name].append(offer)
    return replace(catalog, by_name={name: tuple(offers) for name, offers in found.items()})


@functools.cache
def shipped() -> Catalog:
    """The catalogue of this release."""
    return parse(resources.files("muybridge.providers").joinpath("catalog.toml").read_text(encoding="utf-8"))


def load(extra: Path | None = None) -> Catalog:
    """The shipped catalogue, with an operator's file of the same format on top. Raises UserError."""
    if extra is None:
        return shipped()
    try:
        text = extra.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"The catalogue {extra} cannot be read: {error.strerror}.") from error
    return parse(text, shipped())


def parse(text: str, onto: Catalog | None = None) -> Catalog:
    """A catalogue from TOML, on top of another. Raises UserError that names the entry."""
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"The catalogue is not TOML: {error}.") from error
    tables: dict[str, dict[str, Any]] = data.get("models", {})
    models = dict(onto.models) if onto else {}
    for name in tables:
        try:
            models[name] = _model(name, _inherited(tables, name))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"The catalogue's model {name!r} is not understood: {error}.") from error
    rates = dict(onto.rates_ppm) if onto else {}
    rates |= {c: int(Decimal(r) * 1_000_000) for c, r in data.get("rates", {}).items() if len(c) == 3}
    offers = {o.key: o for o in onto.offers} if onto else {}
    for table in data.get("offers", []):
        try:
            offer = _offer(table, models, rates)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"The offer {table.get('model')!r} of {table.get('provider')!r}: {error}.") from error
        offers[offer.key] = offer
    sources = {**(onto.sources if onto else {}), **data.get("sources", {})}
    version = data.get("version") or (f"{onto.version}+own" if onto else "unversioned")
    return indexed(Catalog(version, models, tuple(offers.values()), sources, rates))


def _inherited(tables: Mapping[str, dict[str, Any]], name: str) -> dict[str, Any]:
    table = dict(tables[name])
    parent = table.pop("like", None)
    if parent is None:
        return table
    above = {k: v for k, v in _inherited(tables, parent).items() if k != "note"}
    return above | table


def _model(name: str, table: Mapping[str, Any]) -> Model:
    length = table["seconds"]
    choices = tuple(float(s) for s in length["choices"]) if isinstance(length, dict) else ()
    span = choices or tuple(float(s) for s in length)
    rest = {f.name for f in fields(Model)} - {"name", "tasks", "min_s", "max_s", "choices", "tiers", "ratios", "only"}
    sets = {"languages"}
    plain = rest - {"lifecycle", "references"}
    more: dict[str, Any] = {k: frozenset(v) if k in sets else v for k, v in table.items() if k in plain}
    if unknown := set(table) - rest - {"tasks", "seconds", "tiers", "ratios", "only"}:
        raise ValueError(f"unknown field {sorted(unknown)[0]!r}")
    if "references" in table:
        more["references"] = tuple(table["references"])
    only = tuple(
        (kind, rule[kind], tuple(float(s) for s in rule["seconds"]))
        for rule in table.get("only", ())
        for kind in ("tier", "task")
        if kind in rule
    )
    return Model(
        name=name,
        tasks=frozenset(table["tasks"]),
        min_s=min(span),
        max_s=max(span),
        choices=choices,
        tiers=_sorted_tiers(table["tiers"]),
        ratios=frozenset(table.get("ratios", ())),
        only=only,
        lifecycle=Lifecycle(**table.get("lifecycle", {})),
        **more,
    )


def _offer(table: Mapping[str, Any], models: Mapping[str, Model], rates: Mapping[str, int]) -> Offer:
    model = models[table["model"]]
    region = table.get("region", "")
    price = read_price(table["price"]) if "price" in table else None
    if price is not None and price.currency not in rates:
        raise ValueError(f"no rate for the currency {price.currency!r}")
    return Offer(
        key=f"{table['provider']}/{model.name}" + (f"@{region}" if region else ""),
        provider=table["provider"],
        region=region,
        model=model,
        ids=table["ids"],
        tiers=_sorted_tiers(table.get("tiers", model.tiers)),
        runs_in=frozenset(table.get("runs_in", ["?"])),
        price=price,
        rate_ppm=rates[price.currency] if price else 0,
        lifecycle=Lifecycle(**table["lifecycle"]) if "lifecycle" in table else model.lifecycle,
        note=table.get("note", ""),
        source=table.get("source", model.source),
        as_of=table.get("as_of", model.as_of),
        lane=table["provider"] + (f"@{region}" if region else ""),
    )


def _sorted_tiers(tiers: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(tiers, key=TIER_ORDER.index))


def days(at: float) -> datetime.date:
    """The UTC day of a unix time."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).date()


def ending(catalog: Catalog, day: datetime.date, within_days: int = 90) -> list[Offer]:
    """Offers that are deprecated, or end within so many days, or have ended; the soonest end first."""
    soon = day + datetime.timedelta(days=within_days)
    found = [
        o
        for o in catalog.offers
        if o.lifecycle.stage(day) in ("deprecated", "retired")
        or (o.lifecycle.sunset is not None and o.lifecycle.sunset <= soon)
    ]
    return sorted(found, key=lambda o: (o.lifecycle.sunset or datetime.date.max, o.key))
