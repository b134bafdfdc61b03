"""Transforms: what the backbone is given, picklable, and functions of the generators' state alone."""

import pickle
import random

import numpy as np
import pytest
import torch
from audio.sounds import RATE, encoded, speech, tone, write

from inarch import RecipeError, Window
from inarch_audio.augment import Augment
from inarch_audio.noise import Noise, add_noise
from inarch_audio.pipeline import Pipeline
from inarch_audio.recordings import read
from inarch_audio.resampling import resample
from inarch_audio.transforms import Evaluation, training_transform


def pipeline(duration=1.0, pad="end", least=1):
    return Pipeline(sample_rate=RATE, duration=duration, overlap=0.25, pad=pad, least=least)


def raw(samples, rate=RATE):
    return {"array": samples, "sampling_rate": rate}


def training(augment=None, seed=0, samples=None, **options):
    """Return the example that training makes of 0.8 s of speech, or of other samples, with a seed."""
    random.seed(seed)
    return training_transform(pipeline(**options), augment or Augment())(
        raw(speech(0.8) if samples is None else samples)
    )


@pytest.fixture
def noises(tmp_path):
    """A folder of noise: 3 s at 16 kHz, 0.2 s in stereo at 8 kHz, and a file that is none."""
    generator = np.random.default_rng(0)
    write(tmp_path / "noise/a/hiss.flac", 0.1 * generator.standard_normal(3 * RATE))
    write(tmp_path / "noise/hum.WAV", np.stack([tone(0.2, 100, 8000)] * 2, 1), 8000, format="WAV")
    (tmp_path / "noise/README.txt").write_text("noise")
    return str(tmp_path / "noise")


def decibels(ratio):
    return 20 * np.log10(float(ratio))


@pytest.mark.parametrize("pad, first, samples, start", [
    ("end", 0, 1600, 0.0), ("center", 7200, 8800, -0.45), ("none", 0, 1600, 0.0)
])  # fmt: skip
def test_a_tenth_of_a_second_is_filled_up_by_the_rule(pad, first, samples, start):
    for make in (Evaluation(pipeline(pad=pad)), training_transform(pipeline(pad=pad), Augment())):
        example = make(raw(tone(0.1)))
        assert len(example["waveform"]) == (1600 if pad == "none" else RATE)
        assert example["waveform"].dtype == torch.float32 and example["waveform"].is_contiguous()
        assert np.array_equal(example["waveform"][first : first + 1600], tone(0.1))
        assert example["waveform"].abs().sum() == example["waveform"][first : first + 1600].abs().sum()
        assert example["samples"].dtype == torch.int64 and example["samples"] == samples
        assert torch.allclose(example["clock"], torch.tensor([start, 1.0]))


def test_fewer_samples_than_the_backbone_needs_are_filled_up_and_not_counted():
    example = Evaluation(pipeline(duration=None, pad="none", least=400))(raw(tone(0.01)))
    assert len(example["waveform"]) == 400 and example["samples"] == 160


def test_a_window_is_read_alone_and_knows_its_place():
    example = Evaluation(pipeline())(Window(raw(speech(9)), 3.5, 4.5))
    assert np.array_equal(example["waveform"], speech(9)[56000:72000])
    assert example["clock"].tolist() == [3.5, 1.0]


def test_evaluation_cuts_nothing_off():
    with pytest.raises(ValueError, match=r"has 1\.500 s, and 1\.0 s go through at once: use its windows"):
        Evaluation(pipeline())(raw(tone(1.5)))
    assert len(Evaluation(pipeline(duration=None, pad="none"))(raw(tone(1.5)))["waveform"]) == 24000


def test_training_cuts_a_long_recording_at_random_and_reads_only_that(tmp_path, monkeypatch):
    import soundfile

    path, decoded, plain = write(tmp_path / "a.wav", speech(9), subtype="FLOAT"), [], soundfile.SoundFile.read
    monkeypatch.setattr(
        soundfile.SoundFile, "read", lambda self, frames, **o: decoded.append(frames) or plain(self, frames, **o)
    )
    transform, starts = training_transform(pipeline(pad="none"), Augment()), []
    for _ in range(20):
        example = transform(path)
        starts.append(float(example["clock"][0]))
        first = round(starts[-1] * RATE)
        assert np.array_equal(example["waveform"], speech(9)[first : first + RATE]) and example["samples"] == RATE
    assert decoded == [RATE] * 20 and min(starts) < 2 and max(starts) > 6


def test_training_keeps_all_of_a_recording_that_goes_through_whole():
    augment = Augment(shift=0.3, speed=(1.0, 1.0), gain=0.0)
    for seed in range(8):
        example = training(augment, seed, tone(2.5), duration=None, pad="none")
        offset = round(-float(example["clock"][0]) * RATE)
        assert np.array_equal(example["waveform"][offset : offset + 40000], tone(2.5))
        assert len(example["waveform"]) == example["samples"] <= 40000 + 0.3 * RATE


ALL = {
    "gain": 6.0,
    "shift": 0.1,
    "speed": (0.9, 1.1),
    "time_masks": (2, 0.1),
    "frequency_masks": (1, 0.2),
    "mixup": 0.3,
}


@pytest.mark.parametrize("pad, duration", [("none", 0.5), ("end", 1.0), ("center", 1.0), ("none", None)])
def test_training_is_a_function_of_the_seed_and_survives_pickling(noises, pad, duration):
    transform = training_transform(pipeline(duration, pad), Augment(noise=noises, noise_probability=1.0, **ALL))
    copy, made = pickle.loads(pickle.dumps(transform)), []
    for change, seed in ((transform, 3), (copy, 3), (copy, 4)):
        random.seed(seed)
        made.append(change(raw(speech(0.8))))
    assert made[0].keys() == {"waveform", "samples", "clock", "masks"}
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])
    assert not any(torch.equal(made[0][name], made[2][name]) for name in ("waveform", "masks"))


def test_evaluation_survives_pickling():
    transform = Evaluation(pipeline())
    first, second = transform(raw(tone())), pickle.loads(pickle.dumps(transform))(raw(tone()))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_without_options_training_changes_nothing_but_the_cut():
    first, second = training(), Evaluation(pipeline())(raw(speech(0.8)))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_gain_is_drawn_in_decibels_both_ways_and_clips_nothing():
    gains = [decibels(training(Augment(gain=12.0), seed)["waveform"].abs().max() / np.abs(speech(0.8)).max())
             for seed in range(60)]  # fmt: skip
    assert -12 <= min(gains) < -8 and 8 < max(gains) <= 12 and abs(np.mean(gains)) < 3
    assert training(Augment(gain=12.0), 1, tone(amplitude=1.0))["waveform"].abs().max() != 1


@pytest.mark.parametrize("pad", ["end", "none"])
def test_shift_moves_the_recording_and_its_clock(pad):
    offsets = []
    for seed in range(30):
        example = training(Augment(shift=0.25), seed, speech(), pad=pad)
        offset = round(-float(example["clock"][0]) * RATE)
        expected = np.zeros(RATE, np.float32)
        expected[max(0, offset) : RATE + min(0, offset)] = speech()[max(0, -offset) : RATE - max(0, offset)]
        assert np.array_equal(example["waveform"], expected)
        offsets.append(offset)
    assert min(offsets) < -2000 and max(offsets) > 2000 and max(map(abs, offsets)) <= 4000


def test_shift_leaves_at_least_half_of_a_short_recording():
    kept = [int((training(Augment(shift=5.0), seed, 0.1 + 0 * tone(0.5))["waveform"] != 0).sum()) for seed in range(30)]
    assert min(kept) >= 4000 and max(kept) == 8000


@pytest.mark.parametrize("pad", ["end", "none"])
def test_a_recording_that_fits_is_not_made_too_long_to_fit(pad):
    for seed in range(20):
        example = training(Augment(speed=(0.5, 0.9)), seed, tone(0.97), pad=pad)
        assert RATE * 0.97 <= example["samples"] <= RATE and example["clock"][1] >= 0.97


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_speed_changes_pitch_and_length_and_the_clock_tells(speed):
    example = training(Augment(speed=(speed, speed)), 0, tone(2.0), duration=None, pad="none")
    assert len(example["waveform"]) == example["samples"] == pytest.approx(32000 / speed, abs=1)
    spectrum = np.abs(np.fft.rfft(example["waveform"].numpy()))
    assert np.argmax(spectrum) * RATE / len(example["waveform"]) == pytest.approx(440 * speed, abs=1)
    assert example["clock"].tolist() == [0.0, pytest.approx(speed)]


def test_a_fast_or_slow_cut_of_a_long_recording_still_fills_the_duration():
    marked = np.zeros(9 * RATE, np.float32)
    marked[::4000] = 1  # a click each quarter of a second tells where the cut lies
    for seed in range(20):
        example = training(Augment(speed=(0.8, 1.25)), seed, marked, duration=2.0)
        assert len(example["waveform"]) == example["samples"] == 2 * RATE
        start, pace = example["clock"].tolist()
        click = int(example["waveform"][200:].abs().argmax()) + 200
        second = start + click / RATE * pace
        assert second == pytest.approx(round(second * 4) / 4, abs=2e-4)


def test_the_noise_has_the_ratio_that_was_asked_for(noises):
    for seed in range(12):
        ratio = 3.0 * seed - 9
        found = training(Augment(noise=noises, snr=(ratio, ratio), noise_probability=1.0), seed, speech())
        added = found["waveform"] - torch.from_numpy(speech())
        power = float(np.square(speech(), dtype=np.float64).mean()) / float(added.double().square().mean())
        assert abs(10 * np.log10(power) - ratio) < 0.1


def test_noise_is_added_to_its_share_of_the_examples(noises):
    augment, quiet = Augment(noise=noises, noise_probability=0.3), tone(0.2)
    same = [np.array_equal(training(augment, seed, quiet, pad="none")["waveform"], quiet) for seed in range(100)]
    assert 55 < sum(same) < 85


def test_noise_is_listed_in_order_read_at_the_right_rate_and_repeated(noises):
    noise = Noise(noises, RATE)
    assert [file.rpartition("noise/")[2] for file in noise.files] == ["a/hiss.flac", "hum.WAV"]
    noise.files = noise.files[1:]
    random.seed(0)
    hum = noise(RATE)
    assert len(hum) == RATE and torch.equal(hum[:3200], hum[3200:6400])
    assert np.argmax(np.abs(np.fft.rfft(hum[:3200]))) == 20  # 100 Hz in 0.2 s


def test_where_signal_or_noise_is_silent_nothing_is_added():
    signal, silence = torch.from_numpy(speech()), torch.zeros(RATE)
    assert torch.equal(add_noise(signal, silence, 5.0), signal)
    assert torch.equal(add_noise(silence, signal, 5.0), silence)


def test_a_folder_without_noise_is_a_mistake_in_the_recipe(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, reason in (("missing", "there is no such file or folder"), ("empty", "found none in")):
        with pytest.raises(RecipeError, match=rf"^backbone\.augment\.noise: .*{reason}"):
            training_transform(pipeline(), Augment(noise=str(tmp_path / folder)))


def test_noise_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.wav").write_bytes(encoded(tone())[:1000])
    with pytest.raises(ValueError, match=r"the noise .*a\.wav: is cut off"):
        training(Augment(noise=str(tmp_path), noise_probability=1.0))


def test_masks_are_shares_within_bounds():
    augment = Augment(time_masks=(2, 0.1), frequency_masks=(3, 0.4))
    masks = torch.stack([training(augment, seed)["masks"] for seed in range(50)])
    assert masks.shape == (50, 5, 3) and masks.dtype == torch.float32
    assert masks[:, :2, 0].eq(0).all() and masks[:, 2:, 0].eq(1).all()
    widths = masks[..., 2] - masks[..., 1]
    assert masks[..., 1:].min() >= 0 and masks[..., 1:].max() <= 1 and widths.min() >= 0
    assert 0.08 < widths[:, :2].max() <= 0.1001 and 0.35 < widths[:, 2:].max() <= 0.4001


def test_mix_exists_only_where_it_is_on():
    assert not hasattr(training_transform(pipeline(), Augment()), "mix")
    assert hasattr(training_transform(pipeline(), Augment(mixup=0.2)), "mix")


@pytest.mark.parametrize("pad, duration", [("none", None), ("end", 2.0)])
def test_mixup_blends_in_proportion_and_is_as_long_as_the_longer(pad, duration):
    transform = training_transform(pipeline(duration, pad), Augment(mixup=1.0))
    random.seed(0)
    shares = []
    for lengths in ((1.0, 1.5), (1.5, 1.0)) * 10:
        first, second = (transform(raw(np.full(round(length * RATE), value, np.float32)))
                         for length, value in zip(lengths, (1.0, -0.5), strict=True))  # fmt: skip
        mixed, share = transform.mix(first, second)
        assert mixed["samples"] == 24000 and len(mixed["waveform"]) == (24000 if pad == "none" else 32000)
        assert mixed["waveform"][0] == pytest.approx(share - 0.5 * (1 - share), abs=1e-6)
        assert torch.equal(first["waveform"][:16000], torch.ones(16000))
        shares.append(share)
    assert max(shares) - min(shares) > 0.5


def test_examples_of_every_format_are_the_same_in_training(tmp_path):
    write(tmp_path / "a.wav", speech(3)), write(tmp_path / "a.flac", read(tmp_path / "a.wav", RATE).numpy())
    for seed in range(5):
        made = []
        for name in ("a.wav", "a.flac"):
            random.seed(seed)
            made.append(training_transform(pipeline(), Augment(**ALL))(tmp_path / name))
        assert torch.allclose(made[0]["waveform"], made[1]["waveform"], atol=2**-14)
        assert torch.equal(made[0]["clock"], made[1]["clock"])


def test_resampling_by_one_returns_the_samples():
    samples = torch.randn(100)
    assert resample(samples, 1) is samples
