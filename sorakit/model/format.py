"""The version of the kit's model folders, and whether this kit can read one.

In: what a folder says of itself. Out: nothing, or `ModelError`. The first number changes when an older kit
could not read the folder, the second when it may ignore what is new.
"""

import re

from sorakit.errors import ModelError

__all__ = ["FORMAT", "check_format"]

FORMAT = "1.0"


def check_format(found: object, where: str) -> None:
    """Raise `ModelError` when `found`, the format of the model at `where`, is newer than this kit reads.

    >>> check_format("1.3", "a model")
    """
    match = re.fullmatch(r"(\d{1,4})\.(\d{1,4})", str(found))
    if match is None:
        raise ModelError(f"the format of {where} must be like {FORMAT}, got {str(found)[:40]!r}")
    newest = FORMAT.split(".", maxsplit=1)[0]
    if int(match[1]) > int(newest):
        raise ModelError(
            f"{where} has format {found}, this sorakit reads formats up to {newest}.x; "
            "update it (pip install -U sorakit) or use a model made for it"
        )
