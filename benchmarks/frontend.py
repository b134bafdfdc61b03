"""Log-mel spectrograms batched inside forward, on the device, against features made example by example.

    python benchmarks/frontend.py [--seconds 1] [--batch 64] [--rounds 20]

Prints one JSON line for each way of the others: torchaudio in the transform, as in a loader worker, and the feature
extractors of transformers (AST's with torchaudio's Kaldi front end, Whisper's in numpy). Ours and theirs take turns on
the same noise, on one thread: the ratio of their times bears other load. Copying to the device counts on both sides.
"""

import argparse
import time
from importlib.metadata import version

import numpy as np
import torch
from figures import report, spread
from torchaudio.transforms import MelSpectrogram
from transformers import ASTFeatureExtractor, WhisperFeatureExtractor

from inarch_audio.log_mel import LogMel

RATE, BANDS, WINDOW, HOP, FLOOR, MEAN, STD = 16000, 128, 0.025, 0.01, 1e-7, -4.27, 9.14


def ours(device):
    """Return what a batch of waveforms goes through inside forward, and the part of it that has parameters."""
    front_end = LogMel(RATE, n_mels=BANDS, window=WINDOW, hop=HOP, f_min=0.0, f_max=RATE / 2, mean=MEAN, std=STD)
    front_end.to(device)
    return lambda waveforms: front_end(torch.stack(waveforms).to(device)), front_end.power.size


def others(device, size, seconds):
    """Return name -> what a list of waveforms goes through one by one, to one batch on the device."""
    power = MelSpectrogram(RATE, size, round(WINDOW * RATE), round(HOP * RATE), n_mels=BANDS, pad_mode="constant")
    frames = round(seconds / HOP)
    ast = ASTFeatureExtractor(num_mel_bins=BANDS, sampling_rate=RATE, max_length=frames)
    whisper = WhisperFeatureExtractor(feature_size=BANDS, sampling_rate=RATE, chunk_length=seconds)

    def mel(waveform):
        return (power(waveform)[:, :frames].clamp_min(FLOOR).log() - MEAN) / STD

    def extracted(extractor, name):
        def extract(waveform):
            return extractor(waveform.numpy(), sampling_rate=RATE, return_tensors="pt")[name][0]

        return extract

    each = {
        "torchaudio": mel,
        "ASTFeatureExtractor": extracted(ast, "input_values"),
        "WhisperFeatureExtractor": extracted(whisper, "input_features"),
    }
    return {name: lambda w, one=one: torch.stack([one(x) for x in w]).to(device) for name, one in each.items()}


def clocks(run, waveforms, device):
    """Return seconds on the wall and of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    run(waveforms)
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - processor


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator().manual_seed(0)
    waveforms = list(torch.randn(options.batch, options.seconds * RATE, generator=generator) / 10)
    batched, size = ours(device)
    for name, each in others(device, size, options.seconds).items():
        rounds = [
            (*clocks(batched, waveforms, device), *clocks(each, waveforms, device)) for _ in range(options.rounds + 1)
        ]
        wall, processor, their_wall, their_processor = np.array(rounds[1:]).T  # the first is to warm up
        details = {"inarch": options.batch / float(np.median(wall)), name: options.batch / float(np.median(their_wall))}
        details["ratio_of_processor_time"] = spread((their_processor / processor).tolist())
        if name == "torchaudio":  # the same numbers, made one by one
            details["largest_difference"] = (batched(waveforms) - each(waveforms)).abs().max().item()
        details.update(vars(options), device=device, torchaudio_version=version("torchaudio"))
        report(f"frontend/{name}", float(np.median(their_wall / wall)), "times as fast", **details)


if __name__ == "__main__":
    main()
