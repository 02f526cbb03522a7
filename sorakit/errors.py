"""One error tree.

A message says what, got, expected and the next step. `exit_code` is what the command line returns.

    SorakitError                  1
    ├── UsageError                2   an argument or setting cannot be used
    ├── InputError                1   a file cannot be read as what it should be
    │   ├── NotAVideoError            no decodable picture in it
    │   ├── UnsupportedError          a real video that the kit does not handle (HDR, no room for a mark)
    │   └── LimitError                over a limit on size, boxes, time or memory
    ├── OutputError               1   the result cannot be written; nothing was left behind
    ├── IdentityError             1   no signing key, or one that may not be used
    ├── ProvenanceError           1   signing, or reading back what was signed, failed
    ├── WatermarkError            1   the mark does not fit, or does not read back
    ├── RegistryError             1   the registry cannot be opened, migrated or written
    └── ModelError                1   weights or the generation extra are missing or do not fit
"""

__all__ = [
    "IdentityError",
    "InputError",
    "LimitError",
    "ModelError",
    "NotAVideoError",
    "OutputError",
    "ProvenanceError",
    "RegistryError",
    "SorakitError",
    "UnsupportedError",
    "UsageError",
    "WatermarkError",
]


class SorakitError(Exception):
    """Base of all errors that the kit raises on purpose."""

    exit_code = 1


class UsageError(SorakitError):
    """An argument or setting cannot be used."""

    exit_code = 2


class InputError(SorakitError):
    """A file cannot be read as what it should be."""


class NotAVideoError(InputError):
    """There is no decodable picture in the file."""


class UnsupportedError(InputError):
    """A real video that the kit does not handle."""


class LimitError(InputError):
    """Over a limit on size, boxes, time or memory."""


class OutputError(SorakitError):
    """The result cannot be written; nothing was left behind."""


class IdentityError(SorakitError):
    """No signing key, or one that may not be used."""


class ProvenanceError(SorakitError):
    """Signing, or reading back what was signed, failed."""


class WatermarkError(SorakitError):
    """The mark does not fit, or does not read back."""


class RegistryError(SorakitError):
    """The registry cannot be opened, migrated or written."""


class ModelError(SorakitError):
    """Weights or the generation extra are missing or do not fit."""
