"""What a recipe may write for an audio backbone. Light: the libraries are imported when a backbone is built."""

from typing import Any


def verify(raw: Any) -> None:
    """Raise ValueError saying what is wrong if a raw example is not a recording; only its header is read."""
    from inarch_audio.recordings import verify

    verify(raw)
