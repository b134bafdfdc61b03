"""``python -m inarch``, for launchers."""

from inarch.cli.main import main

main()
