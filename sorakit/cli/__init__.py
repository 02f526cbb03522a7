"""The command line: one file a command group. JSON goes to stdout alone, everything human to stderr."""

from sorakit.cli.app import app, main

__all__ = ["app", "main"]
