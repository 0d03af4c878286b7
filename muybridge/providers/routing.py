"""What an operator decides about routing: accounts, policy, what may be changed, budgets. One TOML file and keys.

The file is `MUYBRIDGE_ROUTING`, else `routing.toml` in `MUYBRIDGE_HOME`, else nothing is configured. A provider is used
when there is a key for it: `MUYBRIDGE_FAL_KEY`, `MUYBRIDGE_DASHSCOPE_KEY` or, for one region only,
`MUYBRIDGE_DASHSCOPE_CN_BEIJING_KEY`. Read once, by `routing()`.
"""

from __future__ import annotations

import functools
import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import httpx

from muybridge.config import settings
from muybridge.errors import InvalidRequest, UserError
from muybridge.providers.attempts import Rules
from muybridge.providers.catalog import LOCAL, Catalog, Lifecycle, Model, Offer, load
from muybridge.providers.client import WIRES, Remote
from muybridge.providers.economics import Machine
from muybridge.providers.fit import CHANGES
from muybridge.providers.ledger import Budget
from muybridge.providers.price import Price, nano
from muybridge.providers.router import AUTO, POLICIES, Policy, Wish
from muybridge.request import LANGUAGES, Request
from muybridge.shapes import RATIOS, cost

DEFAULT_REGION = {"dashscope": "ap-southeast-1", "ark": "ap-southeast-1", "kling": "singapore"}


@dataclass(frozen=True)
class Account:
    """Access to one provider in one region."""

    provider: str
    region: str
    key: str = field(repr=False)
    base: str | None = None
    trusted: bool = False


@dataclass(frozen=True)
class Routing:
    """Everything an operator decided."""

    accounts: tuple[Account, ...] = ()
    policy: Policy = "cheapest"
    allow: frozenset[str] = frozenset({"seed", "size"})
    substitute: frozenset[str] = frozenset()  # names that another model may stand in for; "*": all
    runs_in: frozenset[str] = frozenset()
    local: tuple[str, ...] = ()
    machine: Machine = field(default_factory=Machine)
    ratings: Mapping[str, float] = field(default_factory=dict)
    budgets: tuple[Budget, ...] = ()
    catalog: Path | None = None
    public_url: str | None = None
    own_max_wait_s: float = 120.0
    max_wait_s: float = 6 * 3600.0
    unknown_after_s: float = 3600.0
    max_usd: float = math.inf  # of one job
    over_quote: Literal["requote", "refuse"] = "requote"  # a job whose offer costs more than it was quoted
    weights: Mapping[str, float] = field(default_factory=lambda: {"cost": 1.0, "speed": 1.0, "quality": 1.0})

    def rules(self) -> Rules:
        """The part that the attempts need."""
        return Rules(unknown_after_s=self.unknown_after_s, own_max_wait_s=self.own_max_wait_s)

    def offers(self) -> Catalog:
        """The catalogue with the operator's own offers, and our engine's priced at what it costs."""
        return self._offers

    @functools.cached_property
    def _offers(self) -> Catalog:
        return load(self.catalog).with_offers(local_offer(name, self.machine) for name in self.local)

    def enabled(self) -> frozenset[str]:
        """Providers with an account here."""
        own = {LOCAL} if self.local else set()
        return frozenset({a.provider for a in self.accounts} | own)

    def lanes(self) -> frozenset[str]:
        """Provider and region of each account."""
        return frozenset(f"{a.provider}@{a.region}" if a.region else a.provider for a in self.accounts)

    def wish(self, request: Request, model: str = AUTO, options: Mapping[str, Any] | None = None) -> Wish:
        """A caller's request under the operator's rules. `options` are the caller's own, narrower ones.

        Known options: policy, allow (by comma), project, max_usd, deadline_s, runs_in, providers, not_providers.
        """
        given = dict(options or {})
        allow = set(self.allow) | set(_names(given.pop("allow", "")))
        if "*" in self.substitute or model in self.substitute:
            allow.add("model")
        if unknown := allow - set(CHANGES):
            raise InvalidRequest(f"There is no change {sorted(unknown)[0]!r}; known are {', '.join(CHANGES)}.", "allow")
        runs_in = frozenset(_names(given.pop("runs_in", ""))) or self.runs_in
        if self.runs_in and not runs_in <= self.runs_in:
            raise InvalidRequest(f"This server keeps inference in {', '.join(sorted(self.runs_in))}.", "runs_in")
        max_usd = min(_number(given.pop("max_usd", None), "max_usd"), self.max_usd)
        deadline_s = _number(given.pop("deadline_s", None), "deadline_s")
        only, never = (frozenset(_names(given.pop(n, ""))) for n in ("providers", "not_providers"))
        if unknown_names := (only | never) - {*WIRES, LOCAL}:
            known = ", ".join((*WIRES, LOCAL))
            raise InvalidRequest(f"There is no provider {sorted(unknown_names)[0]!r}; known are {known}.", "providers")
        wish = Wish(
            request=request,
            model=model,
            policy=given.pop("policy", None) or self.policy,
            allow=frozenset(allow),
            providers=only,
            not_providers=never,
            runs_in=runs_in,
            max_micros=None if math.isinf(max_usd) else round(max_usd * 1e6),
            deadline_s=None if math.isinf(deadline_s) else deadline_s,
            project=str(given.pop("project", "") or ""),
            weights=self.weights,
        )
        if given:
            raise InvalidRequest(f"There is no routing option {sorted(given)[0]!r}.", sorted(given)[0])
        return wish

    def remotes(self, transport: httpx.BaseTransport | None = None) -> list[Remote]:
        """A client for each account that the catalogue has offers for."""
        catalog, made = self.offers(), []
        for account in self.accounts:
            mine = (account.provider, account.region)
            offers = tuple(o for o in catalog.offers if (o.provider, o.region) == mine)
            if offers:
                more = {"region": account.region, "base": account.base, "trusted": account.trusted}
                made.append(Remote(account.provider, offers, account.key, transport=transport, **more))  # type: ignore[arg-type]  # mixed values
        return made


OPTIONS = ("policy", "allow", "project", "max_usd", "deadline_s", "runs_in", "providers", "not_providers")


def _names(text: Any) -> list[str]:  # noqa: ANN401  (text or a list, out of TOML or JSON)
    found = text.split(",") if isinstance(text, str) else list(text)
    return [str(name).strip() for name in found if str(name).strip()]


def _number(value: Any, name: str) -> float:  # noqa: ANN401
    if value is None:
        return math.inf
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not found > 0:
        raise InvalidRequest(f"{name} is {str(value)[:40]!r}; give a number above 0.", name)
    return found


def local_offer(size: str, machine: Machine) -> Offer:
    """Our own engine as an offer: every way in, at the floor price of the machine for each tier."""
    model = Model(
        name=size,
        family="muybridge",
        tasks=frozenset({"t2v", "i2v", "r2v", "edit", "a2v"}),
        min_s=3.0,
        max_s=15.0,
        choices=(),
        tiers=("256p", "480p", "720p", "1080p"),
        ratios=frozenset(RATIOS),
        references=(1, 9),
        edit_references=9,
        last_image=True,
        audio="optional",
        keep_audio=True,
        lip_sync=True,
        languages=frozenset(LANGUAGES),
        seed=True,
        negative_prompt=True,
        any_length=True,
        licence="yours",
        source="ours",
    )
    per_s = {}
    for tier in model.tiers:
        seconds = cost(Request("shape", size=tier, seconds=5.0), size).seconds
        per_s[tier] = nano(str(round(machine.floor_usd(seconds, 5.0), 9)))
    price = Price(per_s=per_s)
    key = f"{LOCAL}/{size}"
    return Offer(
        key, LOCAL, "", model, {"all": size}, model.tiers, frozenset({"own"}), price, 1_000_000, Lifecycle(), lane=LOCAL
    )


@functools.cache
def routing() -> Routing:
    """The operator's decisions, read once."""
    named = os.environ.get("MUYBRIDGE_ROUTING")
    path = Path(named) if named else settings().home / "routing.toml"
    if not named and not path.exists():
        return parse({}, os.environ)
    return read(path, os.environ)


def read(path: Path, environ: Mapping[str, str]) -> Routing:
    """A routing file. Raises UserError that names what is not understood."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as TOML: {error}.") from error
    found = parse(values, environ)
    own = found.catalog
    return found if own is None or own.is_absolute() else replace(found, catalog=path.parent / own)


def parse(values: Mapping[str, Any], environ: Mapping[str, str]) -> Routing:
    """A routing table and the keys of the environment. Raises UserError."""
    given = dict(values)
    accounts = _accounts(given.pop("providers", {}), environ)
    local = given.pop("local", {})
    budgets = tuple(
        Budget(round(float(b["usd_per_day"]) * 1e6), b.get("tenant", ""), b.get("key", ""))
        for b in given.pop("budgets", ())
    )
    sets: dict[str, Any] = {
        name: frozenset(_names(given.pop(name))) for name in ("allow", "substitute", "runs_in") if name in given
    }
    catalog = given.pop("catalog", None)
    plain = {
        "policy",
        "ratings",
        "public_url",
        "own_max_wait_s",
        "max_wait_s",
        "unknown_after_s",
        "max_usd",
        "weights",
        "over_quote",
    }
    if unknown := set(given) - plain:
        raise UserError(f"The routing file has the unknown setting {sorted(unknown)[0]!r}.")
    if given.get("policy", "cheapest") not in POLICIES:
        raise UserError(f"There is no policy {given['policy']!r}; choose one of {', '.join(POLICIES)}.")
    if given.get("over_quote", "requote") not in ("requote", "refuse"):
        raise UserError(f"over_quote is {given['over_quote']!r}; choose requote or refuse.")
    models = tuple(local.pop("models", ()))
    try:
        machine = Machine(**local)
    except TypeError as error:
        raise UserError(f"The table [local] of the routing file is not understood: {error}.") from error
    return Routing(
        accounts=accounts,
        budgets=budgets,
        catalog=None if catalog is None else Path(catalog),
        local=models,
        machine=machine,
        **sets,
        **given,
    )


def _accounts(tables: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[Account, ...]:
    found = []
    for provider in sorted({*WIRES, *tables}):
        if provider not in WIRES:
            raise UserError(f"There is no provider {provider!r}; known are {', '.join(WIRES)}.")
        table = tables.get(provider, {})
        stem = f"MUYBRIDGE_{provider.upper()}"
        prefix = f"{stem}_"
        own = {
            name.removeprefix(prefix).removesuffix("_KEY").lower().replace("_", "-"): key
            for name, key in environ.items()
            if name.startswith(prefix) and name.endswith("_KEY") and name != f"{stem}_KEY"
        }
        general = environ.get(table.get("key_env", f"{stem}_KEY"))
        if general:
            for region in table.get("regions", [DEFAULT_REGION.get(provider, "")]):
                own.setdefault(region, general)
        more = {"base": table.get("base"), "trusted": bool(table.get("trusted", False))}
        found += [Account(provider, region, key, **more) for region, key in sorted(own.items())]
    return tuple(found)
