"""How long the live parts of a notebook run."""

import os

from sorakit.errors import UsageError

__all__ = ["seconds"]


def seconds(usual: float) -> float:
    """`usual`, unless the environment variable SORAKIT_COURSE_SECONDS asks for less.

    Raises `UsageError` when that is no positive number.

    >>> 0 < seconds(90) <= 90
    True
    """
    asked = os.environ.get("SORAKIT_COURSE_SECONDS", "")
    try:
        most = float(asked or usual)
    except ValueError:
        most = 0.0
    if not most > 0:
        raise UsageError(f"`SORAKIT_COURSE_SECONDS` must be a number of seconds over 0, got {asked!r}")
    return min(usual, most)
