"""What is heard and how the mouth moves: onsets on their sample, physics by formula, closures that can be seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from muybridge.errors import UserError
from muybridge.speech.durations import Phone, natural_durations
from muybridge.speech.phonemes import phonemes
from muybridge.speech.symbols import MARKS, PHONES
from muybridge.world import sound, visemes

RATE = 24_000


@pytest.mark.parametrize("kind", sound.STRIKES)
@given(at_s=st.floats(0.0, 1.9), seed=st.integers(0, 1000))
@settings(max_examples=12, deadline=None)
def test_strikes_start_on_their_own_sample(kind: str, at_s: float, seed: int) -> None:
    wave = sound.render_sound([sound.SoundEvent(kind, at_s)], 2.0, RATE, seed)[0]
    heard = np.flatnonzero(wave)
    assert heard[0] == round(at_s * RATE)
    early = np.abs(wave[heard[0] : heard[0] + RATE // 1000]).max()
    assert early > 0.05 * np.abs(wave).max()  # loud within a millisecond, not creeping in


@pytest.mark.parametrize("kind", [k for k in sound.KINDS if k not in (*sound.STRIKES, "car", "wave")])
def test_lasting_sounds_fill_their_span_and_nothing_else(kind: str) -> None:
    wave = sound.render_sound([sound.SoundEvent(kind, 1.0, 3.0)], 4.0, RATE)[0]
    assert not wave[:RATE].any() and not wave[3 * RATE :].any()
    halves = [np.abs(wave[round(a * RATE) : round(b * RATE)]).mean() for a, b in ((1.2, 2.0), (2.0, 2.8))]
    assert min(halves) > 0.2 * max(halves)


def test_same_seed_same_bytes_and_one_event_leaves_the_others_alone() -> None:
    events = [sound.SoundEvent("hoof", t) for t in sound.gallop_times(0.2, 2.0)]
    one, two = (sound.render_sound(events, 2.0, RATE, 7) for _ in range(2))
    assert one.tobytes() == two.tobytes()
    fewer = sound.render_sound(events[:-1], 2.0, RATE, 7)
    last = round(events[-1].at_s * RATE)
    assert (fewer[:, :last] == one[:, :last]).all()
    assert sound.render_sound(events, 2.0, RATE, 8).tobytes() != one.tobytes()


def test_bell_rings_at_its_partials() -> None:
    wave = sound.render_sound([sound.SoundEvent("bell", 0.0)], 3.0, RATE)[0]
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    peaks = np.fft.rfftfreq(len(wave), 1 / RATE)[
        signal.find_peaks(spectrum, height=spectrum.max() / 30, distance=30)[0]
    ]
    for ratio in (0.5, 1.0, 1.183, 2.0):  # hum, prime, minor third, nominal
        assert np.abs(peaks - 520 * ratio).min() < 3


def test_passing_car_has_the_doppler_shift_of_its_speed() -> None:
    speed, firing = 25.0, 72.0
    event = sound.SoundEvent("car", 3.0, speed=speed, distance=1.0)
    wave = sound.render_sound([event], 6.0, RATE)[0]

    def engine_hz(a_s: float, b_s: float) -> float:
        part = wave[int(a_s * RATE) : int(b_s * RATE)]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 1 << 19))
        hz = np.fft.rfftfreq(1 << 19, 1 / RATE)
        band = (hz > 55) & (hz < 95)
        return float(hz[band][spectrum[band].argmax()])

    c = sound.SPEED_OF_SOUND
    assert engine_hz(0.5, 2.3) == pytest.approx(firing / (1 - speed / c), rel=0.01)
    assert engine_hz(3.7, 5.5) == pytest.approx(firing / (1 + speed / c), rel=0.01)
    loudest = np.convolve(wave**2, np.ones(2400), "same").argmax() / RATE
    assert loudest == pytest.approx(3.0, abs=0.1)


def test_stereo_pan_and_passing_side() -> None:
    left = sound.render_sound([sound.SoundEvent("tick", 0.1, pan=-1.0)], 0.5, RATE, stereo=True)
    assert np.abs(left[1]).max() < 1e-6 < np.abs(left[0]).max()
    car = sound.render_sound([sound.SoundEvent("car", 2.0, speed=20)], 4.0, RATE, stereo=True)
    early, late = car[:, :RATE], car[:, 3 * RATE :]
    assert (early[0] ** 2).sum() > 4 * (early[1] ** 2).sum() and (late[1] ** 2).sum() > 4 * (late[0] ** 2).sum()


def test_loudness_of_the_standards_own_signal() -> None:
    """BS.1770: a full-scale 997 Hz sine in one channel is -3.01 LKFS."""
    for rate in (24_000, 44_100, 48_000):
        t = np.arange(rate * 5) / rate
        tone = np.sin(2 * np.pi * 997 * t)[None].astype(np.float32)
        assert sound.loudness(tone, rate) == pytest.approx(-3.01, abs=0.1)
        assert sound.loudness(tone * 0.1, rate) == pytest.approx(-23.01, abs=0.1)


def test_mix_ducks_under_speech_and_keeps_its_level() -> None:
    ambience = sound.render_sound([sound.SoundEvent("rain", 0.0, 6.0)], 6.0, RATE)
    speech = np.zeros(6 * RATE, np.float32)
    t = np.arange(2 * RATE) / RATE
    speech[2 * RATE : 4 * RATE] = 0.2 * np.sin(2 * np.pi * 220 * t)
    mixed = sound.mix(speech, ambience)
    assert (
        sound.loudness(mixed, RATE) == pytest.approx(sound.TARGET_LUFS, abs=0.5)
        or np.abs(mixed).max() <= sound.PEAK + 1e-6
    )
    high = signal.sosfilt(signal.butter(4, 1500, "highpass", fs=RATE, output="sos"), mixed[0])
    drop = 20 * np.log10(
        np.sqrt((high[int(2.5 * RATE) : int(3.5 * RATE)] ** 2).mean()) / np.sqrt((high[RATE // 2 : RATE] ** 2).mean())
    )
    assert -12 < drop < -6
    assert not sound.normalise(np.zeros((1, RATE), np.float32), RATE).any()


def test_gallop_and_bounces_follow_their_motion() -> None:
    beats = sound.gallop_times(0.0, 3.0, 2.0)
    gaps = np.diff(beats)
    assert gaps[3::4].min() > 1.5 * np.delete(gaps, np.s_[3::4]).max()  # all feet off the ground once a stride
    bounces = sound.bounce_times(0.5, 5.0, height_m=1.2, restitution=0.8)
    times, speeds = zip(*bounces, strict=True)
    np.testing.assert_allclose(np.diff(times), [2 * s * 0.8 * (2 * 1.2 / 9.81) ** 0.5 for s in speeds[:-1]])


def test_bad_events_are_refused() -> None:
    with pytest.raises(UserError, match="there are hoof"):
        sound.render_sound([sound.SoundEvent("kazoo", 0)], 1.0)
    with pytest.raises(UserError, match="before it starts"):
        sound.render_sound([sound.SoundEvent("rain", 2.0, 1.0)], 3.0)


def test_every_phone_has_a_mouth() -> None:
    neutral = {letter for letter in PHONES if letter not in visemes._DIPHTHONGS and not visemes.mouth_shape(letter)}
    assert neutral <= set("hʔ")
    assert not set(visemes._DIPHTHONGS) - set(PHONES) and not set(MARKS) & set(PHONES)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "My brother bumped a big blue pump."),
        ("de", "Bitte mach mir Platz."),
        ("ja", "みんなでパンを食べましょう。"),
    ],
)
def test_lips_meet_on_every_p_b_m_for_a_whole_frame(language: str, text: str) -> None:
    phones = [p.moved(0.3) for p in natural_durations(phonemes(text, language), language)]
    loud = np.random.default_rng(0).standard_normal(RATE * 6).astype(np.float32)
    tracks = visemes.viseme_tracks(phones, 150, loud, RATE, effort=1.2)
    jaw = tracks["jawOpen"]
    closures = [p for p in phones if p.base in "pbm"]
    assert len(closures) >= 3
    for phone in closures:
        first, last = int(np.floor(phone.start_s * 25)), int(np.ceil(phone.end_s * 25))
        assert jaw[first : last + 1].min() < 0.03, phone
        assert tracks["mouthPressLeft"][first : last + 1].max() > 0.3
    for phone in phones:
        if phone.base in "aɑæʌ" and phone.end_s - phone.start_s > 0.11:
            middle = round((phone.start_s + phone.end_s) / 2 * 25)
            assert jaw[middle - 1 : middle + 2].max() > 0.2, phone


def test_mouth_rests_outside_speech_and_stays_inside_0_and_1() -> None:
    phones = [p.moved(1.0) for p in natural_durations(phonemes("Hello you two.", "en"), "en")]
    tracks = visemes.viseme_tracks(phones, 100)
    assert set(tracks) == set(visemes.UNITS) and all(
        t.shape == (100,) and t.dtype == np.float32 for t in tracks.values()
    )
    for track in tracks.values():
        assert track.min() >= 0 and track.max() <= 1
        assert track[:15].max() == 0 and track[-20:].max() < 1e-3
    assert tracks["mouthPucker"].max() > 0.4  # "you two"


def test_rounding_spreads_over_consonants_between_round_vowels() -> None:
    steps = [("u", 0.2), ("t", 0.08), ("u", 0.2)]
    phones, at = [], 0.4
    for symbol, length in steps:
        phones.append(Phone(symbol, at, at + length))
        at += length
    pucker = visemes.viseme_tracks(phones, 40)["mouthPucker"]
    assert pucker[16] > 0.6  # 0.64 s, in the middle of the t


def test_loud_and_energetic_speech_opens_wider() -> None:
    phones = [p.moved(0.2) for p in natural_durations(phonemes("Anna has a large black cat.", "en"), "en")]
    tracks = [
        visemes.viseme_tracks(phones, 75, effort=visemes.EFFORT[r])["jawOpen"].mean()
        for r in ("calm", "neutral", "energetic")
    ]
    assert tracks[0] < tracks[1] < tracks[2]


def test_scene_is_heard_at_the_times_at_which_it_is_seen() -> None:
    from muybridge.world import soundtrack, things
    from muybridge.world.scene import Scene, Thing

    for kind in ("horse", "ball", "bell", "metronome", "drum", "bird", "door", "fire", "waves", "car"):
        scene = Scene(seed=1, seconds=3.0, place="beach", things=(Thing(kind),))
        heard = [(e.kind, e.at_s) for e in soundtrack.sound_events(scene)]
        seen = [(e.kind, e.time_s) for e in things.events(scene)]
        assert heard[: len(seen)] == seen and seen
        wave = soundtrack.soundtrack(scene).waveform_CS
        assert wave.shape == (1, scene.num_frames * RATE // 25) and np.abs(wave).max() > 0.02
