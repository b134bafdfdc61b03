"""What a recipe may write for audio data sets. Light: what makes them is imported when they are opened."""

import re
from pathlib import Path
from typing import Annotated

from inarch import Address, Dataset, Range, RecipeError, unknown

ACCENTS = ["en-us", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-gb-x-gbclan", "en-us-nyc", "en-gb-x-gbcwmd", "en"]
# Variants of espeak-ng that differ in their formants: neither whisper, robots and echoes, nor near copies of another.
_TIMBRES = (
    "f1 m1 m2 m3 f2 m4 m5 m6 f3 m7 m8 Alex f4 Andy Denis Gene f5 Jacky Lee Marco Alicia Mario Michael Reed "
    "Andrea Storm adam antonio Annie benjamin boris croak anika david ed edward belinda grandpa gustave ian "
    "linda iven john kaukovalta grandma klatt marcelo max shelby michel mike2 norbert steph pablo paul pedro "
    "zac quincy rob robert victor sandro travis"
)
_NAME = re.compile(r"\w(?:[\w .'-]*[\w'-])?")


def synthetic_speech(
    *,
    path: Annotated[str, Address()],
    words: list[str] | dict[str, list[str]],
    voices: Annotated[int, Range(least=1)] | list[str] = 32,
    takes: Annotated[int, Range(least=1)] = 1,
    seed: int = 0,
) -> Dataset:
    """Make recordings of words in many synthesised voices, by espeak-ng (pip install espeakng-loader; GPL-3).

    Columns: file, class, voice, accent. No split cuts through a voice. For trying things without recorded people;
    figures on them say little about recorded speech.

    path: the folder that the recordings are written to. One with the recordings of the same options is used as it is.
    words: what is spoken, or classes with the texts that belong to each: {go: [go, move on], stop: [stop, halt]}.
    voices: how many, each with a timbre of its own, accents of English in turn; or names, for example en-us+f2.
    takes: recordings of each text in each voice, at different speeds and pitches.
    seed: of speeds, pitches and noise in the voices.
    """
    from inarch_audio.speech_synthesis import open_or_make

    texts = words if isinstance(words, dict) else {word: [word] for word in words}
    if not texts or any(not said for said in texts.values()):
        raise RecipeError("dataset.words: expected words to be spoken, found none")
    for name in texts:
        if not _NAME.fullmatch(name):
            raise RecipeError(f"dataset.words: classes name folders: expected letters and digits, found {name!r}")
    for said in (list(texts) if isinstance(words, dict) else words, *texts.values()):
        if len(set(said)) < len(said):
            raise RecipeError(f"dataset.words: one is there twice in {list(said)}")
    return open_or_make(Path(path), texts, _names(voices), takes, seed)


def _names(voices: int | list[str]) -> list[str]:
    """Return so many voices, accents in turn so that low and high timbres meet each; or names, if they exist."""
    timbres = _TIMBRES.split()
    if isinstance(voices, int):
        if voices > len(timbres):
            told = f"there are {len(timbres)} timbres, and no two voices share one"
            raise RecipeError(f"dataset.voices: {told}; expected a smaller number or names, found {voices}")
        turns = [index + index // len(ACCENTS) for index in range(voices)]
        return [f"{ACCENTS[turn % len(ACCENTS)]}+{timbres[index]}" for index, turn in enumerate(turns)]
    if not voices or len(set(voices)) < len(voices):
        raise RecipeError(f"dataset.voices: expected a number, or names, each once; found {voices}")
    for name in voices:
        accent, _, timbre = name.partition("+")
        for kind, part, known in (("accent", accent, ACCENTS), ("timbre", timbre, timbres)):
            if part not in known:
                raise RecipeError(f"dataset.voices: '{name}' (ACCENT+TIMBRE): {unknown(kind, part, known)}")
    return voices
