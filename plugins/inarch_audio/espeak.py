"""A program, not a module of the plugin: espeak-ng (GPL-3, a library of its own) speaks with one voice, then it ends.

espeak-ng keeps the state of what it said last, and 1.52.0 crashes after some changes of voice. A process for each voice
makes its recordings depend on nothing else, and a crash an error. Uses the standard library only.

Reads JSON from standard input: `library` and `data` (paths; the folder above `data` is the current one, for espeak-ng
has 160 bytes for a path), `voice`, `seed`, and `utterances` with `text`, `speed` (words a minute), `pitch` (0 to 99)
and `file`, the WAV that is written. Says the library's version on standard output.
"""

import ctypes
import json
import sys
import wave
from collections.abc import Iterator, Mapping
from typing import Any

_SYNCHRONOUS, _DO_NOT_EXIT, _UTF8, _BY_CHARACTER = 2, 0x8000, 1, 1  # of espeak-ng/speak_lib.h
_RATE, _PITCH = 1, 3
_ReceiveSamples = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def speak(library: Any, voice: str, seed: int, utterances: list[Mapping[str, Any]]) -> Iterator[tuple[int, bytes]]:
    """Yield the sample rate (Hz) and 16-bit samples of each utterance; SystemExit says what is wrong."""
    samples = bytearray()

    @_ReceiveSamples
    def receive(address: int, count: int, _: int) -> int:
        samples.extend(ctypes.string_at(address, 2 * count) if address and count > 0 else b"")
        return 0

    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, b".", _DO_NOT_EXIT)
    if rate <= 0:
        sys.exit("espeak-ng does not find its data")
    library.espeak_SetSynthCallback(receive)
    library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
    if library.espeak_SetVoiceByName(voice.encode()):
        sys.exit(f"espeak-ng has no voice '{voice}'")
    for utterance in utterances:
        samples.clear()
        library.espeak_SetParameter(_RATE, utterance["speed"], 0)
        library.espeak_SetParameter(_PITCH, utterance["pitch"], 0)
        text = utterance["text"].encode() + b"\0"
        failed = library.espeak_Synth(text, len(text), 0, _BY_CHARACTER, 0, _UTF8, None, None)
        if failed or library.espeak_Synchronize() or not any(samples):
            sys.exit(f"espeak-ng makes no sound of the text '{utterance['text']}'")
        yield rate, bytes(samples)


def write(file: str, rate: int, samples: bytes) -> None:
    """Write 16-bit samples, in the machine's order of bytes, as WAV."""
    with wave.open(file, "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(rate)
        stream.writeframes(samples)


def main() -> None:
    """Do what standard input says."""
    task = json.load(sys.stdin)
    library = ctypes.CDLL(task["library"])
    library.espeak_Info.restype = ctypes.c_char_p
    spoken = speak(library, task["voice"], task["seed"], task["utterances"])
    for utterance, (rate, samples) in zip(task["utterances"], spoken, strict=True):
        write(utterance["file"], rate, samples)
    sys.stdout.write(library.espeak_Info(None).decode())


if __name__ == "__main__":
    main()
