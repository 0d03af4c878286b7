"""The catalogue and its prices against the public figures they were read from; the router's rules one by one."""

from __future__ import annotations

import datetime
import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.errors import InvalidRequest, ModelRetired, NotFound, NotInstalled, QuotaExceeded, Unavailable, UserError
from muybridge.providers.catalog import SHORT_SIDE, Catalog, days, ending, load, parse, shipped
from muybridge.providers.client import WIRES
from muybridge.providers.economics import Machine, max_utilisation, mixes
from muybridge.providers.fleet import lanes_of
from muybridge.providers.health import Lane
from muybridge.providers.price import Measure, read_price
from muybridge.providers.router import Conditions, Decision, Wish, route
from muybridge.providers.simulator import Asked, Tariff
from muybridge.request import AudioMode, Line, Reference, Request

TODAY = datetime.date(2026, 11, 21)
NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC).timestamp()
EVERYONE = frozenset(o.provider for o in shipped().offers)


def usd(offer: str, tier: str, seconds: float, day: datetime.date = TODAY, **more: object) -> float:
    (found,) = [o for o in shipped().offers if o.key == offer]
    micros = found.cost(Measure(tier, round(seconds * 1000), **more), day)  # type: ignore[arg-type]
    assert micros is not None
    return micros / 1e6


def test_list_prices_are_the_published_ones() -> None:
    assert usd("fal/happyhorse-1.1", "1080p", 5) == pytest.approx(0.90)
    assert usd("fal/happyhorse-1.0", "1080p", 5) == pytest.approx(1.40)
    # RMB 0.90 and 1.20 a second are the USD 0.1238 and 0.1650 of the other list
    assert usd("dashscope/happyhorse-1.1@cn-beijing", "720p", 1) == pytest.approx(0.1238, abs=1e-4)
    assert usd("dashscope/happyhorse-1.1@cn-beijing", "1080p", 1) == pytest.approx(0.1650, abs=1e-4)
    assert usd("kling/kling-3.0@singapore", "720p", 5) == pytest.approx(0.63)
    assert usd("kling/kling-3.0@singapore", "720p", 5, audio=False) == pytest.approx(0.42)
    assert usd("minimax/minimax-h3", "768p", 4, num_images=7) == pytest.approx(0.32 + 2 * 0.04)
    assert usd("runway/aleph2", "720p", 1) == pytest.approx(0.56)  # 56 credits at least
    assert usd("luma/ray-3.2", "720p", 5) == pytest.approx(0.30)
    assert usd("luma/ray-3.2", "720p", 10) == pytest.approx(0.90)  # three times as much for twice as long
    assert usd("dashscope/happyhorse-1.0@ap-southeast-1", "720p", 6.62, input_ms=6620) == pytest.approx(13.24 * 0.14)
    assert usd("omni/gemini-omni-1.1-flash", "720p", 1) == pytest.approx(0.10, abs=1e-4)
    assert usd("xai/grok-imagine", "720p", 8, num_images=3) == pytest.approx(8 * 0.07 + 3 * 0.002)


def test_a_promotion_ends_on_its_day() -> None:
    full = usd("fal/happyhorse-1.1", "720p", 5)
    inside, last, after = (datetime.date(2026, 6, 22), datetime.date(2026, 7, 5), datetime.date(2026, 7, 6))
    assert usd("fal/happyhorse-1.1", "720p", 5, inside) == pytest.approx(0.6 * full)
    assert usd("fal/happyhorse-1.1", "720p", 5, last) == pytest.approx(0.6 * full)
    assert usd("fal/happyhorse-1.1", "720p", 5, after) == pytest.approx(full)


def test_tokens_are_counted_from_pixels() -> None:
    price = read_price({"per_million_tokens": 7})
    (offer,) = [o for o in shipped().offers if o.key == "fal/happyhorse-1.1"]
    from muybridge.providers.price import micros

    found = micros(price, Measure("720p", 5000, True, 0, 0, 1280, 720), 1_000_000, TODAY)
    assert found == round(1280 * 720 * 24 * 5 / 1024 * 7)  # 108,000 tokens at $7 a million
    assert offer.cost(Measure("4k", 5000), TODAY) is None  # not for sale


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([o for o in shipped().offers if o.price is not None]),
    st.integers(1, 15_000),
    st.booleans(),
    st.integers(0, 12),
    st.integers(0, 2),
    st.sampled_from(["2026-01-05", "2026-06-30", "2026-11-21"]),
)
def test_prices_agree_with_invoices_worked_out_apart(offer, ms, audio, num_images, tier, day) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Two implementations, whole numbers here and decimals there, to the last millionth."""
    tier = offer.tiers[tier % len(offer.tiers)]
    date = datetime.date.fromisoformat(day)
    at = datetime.datetime.combine(date, datetime.time(12), datetime.UTC).timestamp()
    ours = offer.cost(Measure(tier, ms, audio, num_images), date)
    if ours is None:
        return
    asked = Asked(next(iter(offer.ids.values())), "x", ms / 1000, tier, audio, num_images)
    if offer.price.silent_per_s and not audio and tier not in offer.price.silent_per_s:
        return
    assert ours == Tariff().micros(offer.lane, asked, at)


def test_every_fact_has_a_source_and_a_day() -> None:
    catalog = shipped()
    for model in catalog.models.values():
        assert model.source in catalog.sources, model.name
        assert model.as_of is not None, model.name
    for offer in catalog.offers:
        assert offer.source in catalog.sources, offer.key
        assert offer.as_of is not None
        assert offer.provider in WIRES, f"nobody speaks {offer.provider}"
        assert set(offer.tiers) <= set(SHORT_SIDE)
    assert len({o.key for o in catalog.offers}) == len(catalog.offers)
    assert all(
        m.lifecycle.successor is None or m.lifecycle.successor in catalog.models for m in catalog.models.values()
    )
    assert set(lanes_of(catalog))


def test_the_ending_ones_are_told_first_to_last() -> None:
    found = [o.key for o in ending(shipped(), datetime.date(2026, 9, 1), 30)]
    assert found[:2] == ["openai/sora-2", "openai/sora-2-pro"]
    assert "omni/gemini-omni-flash-preview" in found
    assert "google/veo-3.1" not in found  # ends 2026-11-17, more than 30 days ahead


def test_an_operators_catalogue_lies_on_top(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        '[[offers]]\nmodel = "happyhorse-1.1"\nprovider = "fal"\nids = { t2v = "x" }\n'
        "price = { per_s = { 720p = 0.01 } }\n"
    )
    catalog = load(own)
    assert len(catalog.offers) == len(shipped().offers)
    (offer,) = [o for o in catalog.offers if o.key == "fal/happyhorse-1.1"]
    assert offer.cost(Measure("720p", 1000), TODAY) == 10_000
    own.write_text('[[offers]]\nmodel = "no-such-model"\nprovider = "fal"\nids = {}\n')
    with pytest.raises(UserError, match="no-such-model"):
        load(own)
    own.write_text('[models.x]\ntasks = ["t2v"]\nseconds = [3, 5]\ntiers = ["720p"]\ncolour = true\n')
    with pytest.raises(UserError, match="colour"):
        load(own)


# The router ---------------------------------------------------------------------------------------------------------


def decide(request: Request, model: str = "auto", at: float = NOW, **more: object) -> Decision:
    conditions = {k: more.pop(k) for k in list(more) if k in Conditions.__dataclass_fields__}
    known = {"now": at, "enabled": EVERYONE} | conditions
    return route(Wish(request, model, **more), shipped(), Conditions(**known))  # type: ignore[arg-type]


def text(**more: object) -> Request:
    return Request(**{"prompt": "A horse.", "size": "720p", "seconds": 5.0} | more)  # type: ignore[arg-type]


def refused(decision: Decision) -> dict[str, str]:
    return {key: stage for key, stage, _ in decision.refused}


def test_what_cannot_be_done_is_turned_down_with_its_reason() -> None:
    found = refused(decide(text()))
    assert found["runway/aleph2"] == "task"
    assert found["openai/sora-2"] == "lifecycle"
    assert found["luma/ray-3.2"] == "audio"
    assert found["minimax/minimax-h3"] == "tier"
    assert found["openrouter/happyhorse-1.1"] == "price"
    assert refused(decide(text(ratio="9:21")))["xai/grok-imagine"] == "ratio"
    assert refused(decide(text(seconds=15.0)))["omni/gemini-omni-1.1-flash"] == "length"
    five = tuple(Reference(Path("x"), f"Image {i + 1}") for i in range(5))
    assert refused(decide(text(references=five)))["omni/gemini-omni-1.2-flash"] == "references"
    speech = text(dialogue=(Line("Hallo", language="de"),))
    assert refused(decide(speech))["xai/grok-imagine"] == "language"
    keep = Request("x", video=Path("x"), size="720p", seconds=5.0, audio_mode=AudioMode.KEEP)
    assert {c.offer.model.name for c in decide(keep).ranked} == {"happyhorse-1.0"}


def test_residency_fails_closed() -> None:
    found = decide(text(), runs_in=frozenset({"DE", "SG"}))
    assert {c.offer.lane for c in found.ranked} <= {
        "dashscope@eu-central-1", "dashscope@ap-southeast-1", "ark@ap-southeast-1"
    }  # fmt: skip
    assert refused(found)["fal/happyhorse-1.1"] == "region"  # nobody says where it runs: never chosen
    with pytest.raises(InvalidRequest, match="region"):
        decide(text(), runs_in=frozenset({"NZ"}))


def test_policies() -> None:
    cheapest = decide(text())
    assert [c.micros for c in cheapest.ranked] == sorted(c.micros for c in cheapest.ranked)
    ratings = {"kling-3.0": 1200.0, "wan-3.0": 1100.0}
    assert decide(text(), policy="best", ratings=ratings).chosen.offer.model.name == "kling-3.0"

    def health(lane: str) -> Lane:
        return Lane(seconds_per_s={"fal": 4.0, "xai": 20.0}.get(lane))

    assert decide(text(), "auto:fastest", health=health).chosen.offer.provider == "fal"
    late = decide(text(), policy="fastest", health=health, deadline_s=60.0)
    assert refused(late)["xai/grok-imagine"] == "deadline"
    weighted = decide(text(), policy="weighted", ratings=ratings, weights={"quality": 1.0})
    assert weighted.chosen.offer.model.name == "kling-3.0"
    assert decide(text(), policy="best").reason == "the cheapest: no ratings are known"
    with pytest.raises(InvalidRequest, match="policy"):
        decide(text(), "auto:dearest")


def test_substitution_only_when_allowed_and_told() -> None:
    with pytest.raises(ModelRetired) as caught:
        decide(text(seconds=4.0), "sora-2")
    assert caught.value.successor is None
    found = decide(text(seconds=4.0), "sora-2", allow=frozenset({"model"}))
    assert found.substituted
    assert found.chosen.plan.changes[0] == ("model", "sora-2", found.chosen.offer.model.name)
    assert found.to_dict()["changes"][0]["asked"] == "sora-2"
    following = decide(text(seconds=4.0), "gemini-omni-flash-preview", allow=frozenset({"model"}))
    assert following.chosen.offer.model.name == "gemini-omni-1.1-flash"  # its successor, not the cheapest
    with pytest.raises(NotFound, match="no-such-model"):
        decide(text(), "no-such-model")


def test_nothing_changes_unless_allowed() -> None:
    with pytest.raises(InvalidRequest, match="allow it with 'seconds'"):
        decide(text(seconds=7.0), "luma/ray-3.2", allow=frozenset({"audio"}))
    found = decide(text(seconds=7.0), "luma/ray-3.2", allow=frozenset({"audio", "seconds"}))
    assert found.chosen.plan.seconds == 10.0
    assert {c.what for c in found.chosen.plan.changes} == {"seconds", "audio"}
    sized = decide(text(size="1000x600"), "fal/happyhorse-1.1", allow=frozenset({"size", "ratio"}))
    assert (sized.chosen.plan.tier, sized.chosen.plan.ratio) == ("720p", "16:9")


def test_money_health_and_queue() -> None:
    cheapest = min(decide(text()).ranked, key=lambda c: c.micros)
    with pytest.raises(QuotaExceeded, match="over the budget") as refusal:
        decide(text(), max_micros=1000)
    assert f"{cheapest.offer.key} costs ${cheapest.micros / 1e6:.4f}" in str(refusal.value)
    poor = decide(text(), budget_micros=200_000)
    assert all(c.micros <= 200_000 for c in poor.ranked)
    with pytest.raises(Unavailable, match="out of service"):
        decide(text(), "fal/happyhorse-1.1", health=lambda _: Lane(3, open_until=NOW + 60, last_error="rate"))
    with pytest.raises(NotInstalled, match="MUYBRIDGE_FAL_KEY"):
        decide(text(), enabled=frozenset())
    tried = decide(text(), "happyhorse-1.1", tried=frozenset({"dashscope@cn-beijing"}))
    assert refused(tried)["dashscope/happyhorse-1.1@cn-beijing"] == "tried"


def test_own_machines_spill_over_by_their_queue() -> None:
    from muybridge.providers.routing import local_offer

    catalog = shipped().with_offers([local_offer("15b", Machine())])
    enabled = EVERYONE | {"local"}

    def chosen(queue_s: float, model: str = "auto") -> str:
        conditions = Conditions(NOW, enabled, own_queue_s=queue_s, own_max_wait_s=120.0)
        return route(Wish(text(), model), catalog, conditions).chosen.offer.key

    assert chosen(10.0) == "local/15b"  # the cheapest by far
    assert chosen(500.0) != "local/15b"
    assert chosen(500.0, "local/15b") == "local/15b"  # who names it, waits


def test_the_same_question_has_the_same_answer_and_explains_every_offer() -> None:
    first, second = decide(text()), decide(text())
    assert first.to_dict() == second.to_dict()
    told = {c.offer.key for c in first.ranked} | {key for key, _, _ in first.refused}
    assert told == {o.key for o in shipped().offers}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["480p", "720p", "1080p", "448x256", "960x540", "1024x1792"]),
    st.sampled_from([3.0, 4.0, 5.0, 7.2, 8.0, 15.0]),
    st.sampled_from(["cheapest", "fastest", "best", "weighted"]),
    st.sets(st.sampled_from(["size", "seconds", "ratio", "audio", "language"])),
    st.integers(0, 330),
)
def test_whatever_is_chosen_can_do_it(size, seconds, policy, allow, offset) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    at = datetime.datetime(2026, 1, 10, tzinfo=datetime.UTC).timestamp() + offset * 86_400
    try:
        found = decide(Request("x", size=size, seconds=seconds), at=at, policy=policy, allow=frozenset(allow))
    except (InvalidRequest, Unavailable):
        return
    for candidate in found.ranked:
        offer, plan = candidate.offer, candidate.plan
        assert offer.lifecycle.stage(days(at)) in ("available", "deprecated")
        assert plan.tier in offer.tiers
        assert plan.seconds >= seconds - 0.01
        choices = offer.model.lengths(plan.task, plan.tier)
        assert not choices or plan.seconds in choices
        assert {c.what for c in plan.changes} <= allow | {"seed"}
        assert candidate.micros > 0


# Unit economics -----------------------------------------------------------------------------------------------------


def test_costs_are_the_published_table() -> None:
    """38 s for a 5 s clip of 1080p on one H100, calculated for three hourly prices."""
    table = {
        1.99: (0.0042, 0.0070, 0.0105, 0.028),
        2.95: (0.0062, 0.0104, 0.0156, 0.042),
        5.0: (0.0106, 0.0176, 0.0264, 0.070),
    }
    for gpu_hour, row in table.items():
        for utilisation, expected in zip((1.0, 0.6, 0.4, 0.15), row, strict=True):
            assert Machine(gpu_hour, utilisation).cost_usd(38, 5) == pytest.approx(expected, rel=0.02)
    assert Machine(2.95, 0.4, 0.8).cost_usd(38, 5) == pytest.approx(0.0195, rel=0.01)
    assert Machine(2.95, 0.4, margin=0.5).floor_usd(38, 5) == pytest.approx(2 * 0.0156, rel=0.01)


def test_waiting_bounds_utilisation() -> None:
    """Erlang C, mean 38 s, at most 5 % wait longer than 60 s."""
    for num_gpus, expected in {1: 0.18, 2: 0.45, 4: 0.67, 8: 0.82, 16: 0.90, 32: 0.95}.items():
        assert max_utilisation(num_gpus, 60, 38) == pytest.approx(expected, abs=0.006)


def test_the_cheapest_mix_of_a_month() -> None:
    small = mixes(2_000, 7.6, Machine(), 0.14)
    assert small[0].num_gpus == 0  # a GPU that stands still all month is dearer than renting 2,000 s
    large = mixes(5_000_000, 7.6, Machine(), 0.14)
    assert large[0].num_gpus >= 16 and large[0].usd < 5_000_000 * 0.14 / 5
    for mix in itertools.chain(small, large):
        assert mix.own_s + mix.rented_s == pytest.approx(2_000 if mix in small else 5_000_000)
    assert [m.usd for m in large] == sorted(m.usd for m in large)


def test_a_catalogue_without_a_rate_for_its_money_is_refused() -> None:
    with pytest.raises(UserError, match="EUR"):
        parse(
            '[[offers]]\nmodel = "wan-3.0"\nprovider = "fal"\nids = { all = "x" }\nprice = { currency = "EUR" }\n',
            shipped(),
        )
    assert isinstance(shipped(), Catalog)
