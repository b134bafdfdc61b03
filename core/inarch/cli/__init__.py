"""The command line: a module a verb; each parses, calls and prints."""
