"""What the words let sound is heard at its times, alone or under a voice, and shown where it strikes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_parts import SHAPE, Draft
from torch import Tensor

from muybridge.engine import Engine, foley, pipeline, random_components
from muybridge.engine.programme import generate_programme, windows_of
from muybridge.engine.state import GenerationState
from muybridge.evaluate import sounds as ear
from muybridge.flow.continuity import Continuity
from muybridge.flow.scaling import from_noise
from muybridge.model.finder import KINDS, Face
from muybridge.request import Request
from muybridge.speech.sounds import WORDS, Sound
from tests.test_engine_programme import Collect

RATE = 24_000
SILENCE = np.zeros((2, 5 * RATE), np.float32)


@pytest.mark.parametrize("kind", WORDS)
def test_every_sound_that_words_name_is_heard(kind: str) -> None:
    wave = foley.heard([Sound(kind, 0.0, 5.0)], SILENCE, RATE, 3, is_said=False)
    assert wave.shape == SILENCE.shape and wave.dtype == np.float32
    assert 0.01 < float(np.sqrt(np.square(wave).mean())) < 0.3 and float(np.abs(wave).max()) <= 0.9


@pytest.mark.parametrize("kind", ["ball", "bell"])
def test_strikes_are_heard_where_they_are_planned(kind: str) -> None:
    sound = Sound(kind, 1.0, 4.0)
    planned = foley.strikes(sound, 7)
    assert len(planned) >= 3 and planned[0] >= 1.0 and planned[-1] <= 4.0
    wave = foley.heard([sound], SILENCE, RATE, 7, is_said=False)
    assert ear.hit_share(list(planned), ear.onsets(wave.mean(0), RATE)) == 1.0
    assert not wave[:, : int(0.99 * RATE)].any()
    assert foley.strikes(sound, 8) != planned and foley.strikes(sound, 7) == planned


def test_rain_is_not_struck_and_lasts_as_long_as_its_beat() -> None:
    assert foley.strikes(Sound("rain", 0.0, 5.0), 0) == ()
    wave = foley.heard([Sound("rain", 2.0, 4.0)], SILENCE, RATE, 0, is_said=False)
    loud = np.abs(wave).mean(0).reshape(5, RATE).mean(1)
    assert loud[2:4].min() > 20 * max(loud[0], loud[1], loud[4])


def test_a_voice_stays_in_front_of_what_sounds_around_it() -> None:
    times = np.arange(5 * RATE) / RATE
    voice = np.stack([0.2 * np.sin(2 * np.pi * 220 * times)] * 2).astype(np.float32)
    voice[:, 3 * RATE :] = 0.0
    wave = foley.heard([Sound("wind", 0.0, 5.0)], voice, RATE, 0, is_said=True)
    assert np.corrcoef(wave[0, : 3 * RATE], voice[0, : 3 * RATE])[0, 1] > 0.9
    assert float(np.abs(wave[:, 4 * RATE :]).mean()) > 0.005


class Finder:
    """A thing in the middle of any picture, and nobody."""

    def faces(self, picture_CYX: Tensor) -> list[Face]:
        assert picture_CYX.shape[0] == 3
        return []

    def covers(self, picture_CYX: Tensor) -> dict[str, Tensor]:
        rows, cols = picture_CYX.shape[1:]
        cover = torch.zeros(rows, cols)
        cover[rows // 3 : 2 * rows // 3, 3 * cols // 8 : 5 * cols // 8] = 1.0
        return {kind: cover if kind == "thing" else torch.zeros(rows, cols) for kind in KINDS}


def engine() -> Engine:
    parts = replace(random_components("tiny", seed=3, shape=SHAPE, std=0.05), upscaler=None, enlarges_pixels=True)
    moments = from_noise((1.0,) * 48, Continuity((0.5,) * 48, (0.4,) * 48, (3.0,) * 48, (0.8,) * 48))
    still = from_noise((1.0,) * 48)
    return Engine(replace(parts, draft=Draft(), draft_moments=still, moments={"video": moments}, finder=Finder()))


BALL = Request("A bouncing red ball in a garden.", size="96x64", seconds=3, seed=5)


def test_a_ball_bounces_when_it_is_heard_also_after_a_checkpoint() -> None:
    state = engine().encode(BALL)
    film, known = state.conditions.film, state.conditions
    assert film is not None and film.kind == "ball" and known.has_sounds
    assert film.strikes_K.tolist() == list(foley.strikes(Sound("ball", 0.0, 3.0), 5))
    again = GenerationState.from_bytes(state.to_bytes()).conditions
    assert again.has_sounds and again.film is not None
    assert again.film.kind == "ball" and torch.equal(again.film.strikes_K, film.strikes_K)
    wave = pipeline.decode(engine().parts, replace(state, stage="done")).waveform_CS
    assert wave is not None
    assert ear.hit_share(film.strikes_K.tolist(), ear.onsets(wave.mean(0), RATE)) == 1.0


@pytest.mark.parametrize("prompt", ["A red ball in a garden.", 'A man says: "The bell rings, the rain falls."'])
def test_what_is_not_said_to_sound_does_not(prompt: str) -> None:
    known = engine().encode(BALL.replace(prompt=prompt)).conditions
    assert not known.has_sounds
    assert known.film is None or not known.film.strikes_K.numel()


@pytest.mark.parametrize("kind", WORDS)
def test_what_sounds_in_a_programme_is_the_same_wherever_it_is_cut(kind: str) -> None:
    around = foley.around([Sound(kind, 0.0, 50.0)], 50.0, 4, is_said=True)
    whole = around.under(np.zeros((2, 50 * RATE), np.float32), RATE, 0.0, is_said=False)
    part = around.under(np.zeros((2, 5 * RATE), np.float32), RATE, 19.0, is_said=False)
    assert np.abs(whole).max() > 0.005
    assert np.allclose(whole[:, 19 * RATE : 24 * RATE], part, atol=1e-5)


def test_what_lasts_does_not_dip_from_part_to_part() -> None:
    around = foley.around([Sound("rain", 0.0, 50.0)], 50.0, 4, is_said=True)
    wave = around.under(np.zeros((2, 50 * RATE), np.float32), RATE, 0.0, is_said=False)
    loud = np.sqrt(np.square(wave[0]).reshape(250, RATE // 5).mean(1))[1:-1]
    assert loud.min() > 0.4 * np.median(loud)


def test_a_bell_rings_on_over_the_windows_of_a_programme() -> None:
    sink, seconds = Collect(), 11.0
    windows = generate_programme(engine(), BALL.replace(prompt="A bell is ringing in a garden."), seconds, sink)
    assert len(windows) > 1
    wave = np.concatenate(sink.sound, 1)
    planned = [at for at in foley.strikes(Sound("bell", 0.0, seconds), 5) if at < seconds - 0.1]
    assert ear.hit_share(planned, ear.onsets(wave.mean(0), RATE)) == 1.0 and len(planned) > 5
    assert 0.02 < float(np.sqrt(np.square(wave).mean())) < 0.3  # as loud as a clip, where nobody speaks


def test_windows_of_a_programme_keep_their_own_sound() -> None:
    first = windows_of(12.0, None, "tiny")[0]
    assert not engine().encode(BALL.replace(seconds=first.clock.seconds), window=first).conditions.has_sounds
