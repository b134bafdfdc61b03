"""Packages of third parties: they are installed and tested from outside, by the tests beside this file."""

collect_ignore_glob = ["inarch_*"]
