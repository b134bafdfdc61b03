"""The front end alone: power in mel bands, its logarithm, its size."""

import pytest
import torch
from torchaudio.transforms import MelSpectrogram

from inarch_audio.log_mel import LogMel
from inarch_audio.mel_power import MelPower

RATE, BANDS = 8000, 64


def log_mel(rate=RATE, **options):
    settings = {
        "n_mels": BANDS,
        "window": 0.025,
        "hop": 0.01,
        "f_min": 0.0,
        "f_max": rate / 2,
        "mean": -4.0,
        "std": 9.0,
    }
    return LogMel(rate, **{**settings, **options})


@pytest.mark.parametrize("waveforms", [torch.Size([3, 16000]), torch.Size([2, 80000]), torch.Size([1, 600])])
@pytest.mark.parametrize("norm, scale, center", [(None, "htk", True), ("slaney", "slaney", True), (None, "htk", False)])
def test_power_in_mel_bands_is_that_of_torchaudio(waveforms, norm, scale, center):
    shared = {"n_mels": 32, "f_min": 60.0, "f_max": 7000.0, "center": center}
    theirs = MelSpectrogram(16000, 512, 400, 160, norm=norm, mel_scale=scale, pad_mode="constant", **shared)
    ours = MelPower(16000, 512, 400, 160, norm=norm, scale=scale, **shared)
    noise = torch.randn(waveforms, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(ours(noise), theirs(noise), rtol=1e-5, atol=1e-6)


def test_a_tone_is_loud_in_its_band_and_while_it_lasts():
    front_end = log_mel(mean=0.0, std=1.0)
    time = torch.arange(RATE) / RATE
    tone = torch.where((time >= 0.25) & (time < 0.5), torch.sin(2 * torch.pi * 1000 * time), 0.0)
    [image] = front_end(tone[None])
    loudest = image.argmax().item()
    band, frame = divmod(loudest, image.shape[1])
    mel = [2595 * torch.log10(torch.tensor(1 + hertz / 700)).item() for hertz in (1000, 4000)]
    assert band == pytest.approx(mel[0] / mel[1] * (BANDS + 1) - 1, abs=1)
    assert 25 <= frame < 50
    assert (image[:, :23].max(), image[:, 53:].max()) == (pytest.approx(front_end.silence),) * 2


@pytest.mark.parametrize("bands, rate, hop", [(128, 16000, 0.01), (64, 8000, 0.02), (224, 16000, 0.01)])
def test_every_band_holds_a_frequency(bands, rate, hop):
    power = log_mel(rate, n_mels=bands, hop=hop).power
    assert (power.filters.amax(0) > 0).all()
    assert power.size >= power.length == round(0.025 * rate)
