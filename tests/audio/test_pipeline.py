"""Windows cover a long recording and end with it; lengths are told by headers."""

from itertools import pairwise

import numpy as np
import pytest
from audio.sounds import RATE, encoded, tone, write

from inarch import Window
from inarch_audio.pipeline import Pipeline
from inarch_audio.recordings import read


def pipeline(duration=1.0, overlap=0.25, pad="end", sample_rate=RATE, least=1):
    return Pipeline(sample_rate=sample_rate, duration=duration, overlap=overlap, pad=pad, least=least)


def silence(samples, rate=RATE):
    return {"array": np.zeros(samples, np.float32), "sampling_rate": rate}


@pytest.mark.parametrize("samples", [16001, 16002, 20000, 27999, 28000, 28001, 40000, 123457])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.9])
def test_windows_are_equally_long_overlap_and_end_with_the_recording(samples, overlap):
    windows = pipeline(overlap=overlap).windows(silence(samples))
    spans = [(round(window.start * RATE), round(window.end * RATE)) for window in windows]
    assert spans[0][0] == 0 and spans[-1][1] == samples
    assert all(end - start == RATE for start, end in spans)
    steps = [after[0] - before[0] for before, after in pairwise(spans)]
    assert set(steps[:-1]) <= {round(RATE * (1 - overlap))} and 0 < steps[-1] <= round(RATE * (1 - overlap))


@pytest.mark.parametrize("rate, wanted", [(8000, 16000), (44100, 16000), (48000, 22050), (16000, 16000)])
def test_windows_read_from_a_file_are_what_the_whole_recording_has_there(tmp_path, rate, wanted):
    path = write(tmp_path / "a.flac", tone(3.217, rate=rate), rate)
    heard = pipeline(duration=0.7, sample_rate=wanted)
    whole = read(path, wanted)
    assert heard.samples(path) == len(whole)
    for window in heard.windows(path):
        first = round(window.start * wanted)
        found = read(window, wanted)
        assert len(found) == heard.most and np.allclose(found, whole[first : first + heard.most], atol=1e-6)


def test_a_recording_that_fits_has_no_windows_and_a_hair_more_has_two():
    assert pipeline().windows(silence(16000)) == []
    assert [window[1:] for window in pipeline().windows(silence(16001))] == [(0, 1), (1 / RATE, 1 + 1 / RATE)]
    assert pipeline(duration=None).windows(silence(99999)) == []


def test_the_windows_of_a_window_lie_in_it():
    outer = Window(silence(99999), 1.0, 3.0)
    windows = pipeline().windows(outer)
    assert [len(read(window, RATE)) for window in windows] == [RATE] * 3
    assert windows[-1] == Window(outer, 1.0, 2.0)


@pytest.mark.parametrize("options, expected", [
    ({"pad": "none"}, [8000, 16000, 16000]), ({"pad": "none", "duration": None}, [8000, 16000, 40000]),
    ({"pad": "end"}, [None] * 3), ({"pad": "center"}, [None] * 3),
])  # fmt: skip
def test_the_length_is_known_from_the_header_where_lengths_differ(options, expected):
    assert [pipeline(**options).measure(silence(samples)) for samples in (8000, 16000, 40000)] == expected


def test_the_length_counts_samples_at_the_rate_that_is_heard():
    assert pipeline(pad="none", duration=None).measure(silence(22051, 44100)) == 8001


def test_what_cannot_be_read_says_so():
    for ask in (pipeline().windows, pipeline(pad="none").measure):
        with pytest.raises(ValueError, match="holds 2,000 of the 32,000"):
            ask({"bytes": encoded(tone())[:2044]})
