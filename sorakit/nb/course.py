"""The course's notebooks: where they lie, and a working copy that a reader may change.

In: a folder of the reader's. Out: the same folder with the notebooks in `notebooks/`, and in `docs/` and
`README.md` what they link to. What exists there already is the reader's work and stays as it is.
"""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

from sorakit.errors import OutputError, UsageError

__all__ = ["find", "home", "titles", "working_copy"]

_PACKAGE = Path(__file__).parents[1]
_PARTS = ("notebooks/*.ipynb", "docs/*.md", "docs/*.png", "README.md")


def home() -> Path:
    """The folder that holds `notebooks/`: in the installed package, or the repository that it runs from."""
    for place in (_PACKAGE / "course", _PACKAGE.parent):
        if (place / "notebooks").is_dir():
            return place
    raise UsageError("this installation holds no notebooks; install sorakit again, from a wheel or a clone")


def titles() -> dict[str, str]:
    """The course: a notebook's file name by its number.

    >>> titles()["00"]
    '00_five_minute_tour.ipynb'
    """
    return {p.name[:2]: p.name for p in sorted((home() / "notebooks").glob("[0-9][0-9]_*.ipynb"))}


def find(number: str) -> str:
    """The file name of notebook "4" or "04". Raises `UsageError` with the numbers that there are."""
    names = titles()
    if re.fullmatch(r"\d{1,2}", number) and number.zfill(2) in names:
        return names[number.zfill(2)]
    raise UsageError(f"there is no notebook {number!r}; choose one of {', '.join(names)}")


def working_copy(folder: Path, *, fresh: str | None = None) -> list[Path]:
    """Put into `folder` what is missing there; the paths that were added.

    `fresh`: file name of a notebook to begin again; the reader's own stays beside it under a name with the
    time. Raises `UsageError` where the folder is the installed course itself, `OutputError` if it cannot be
    written.
    """
    source = home()
    if folder.resolve() in (source.resolve(), (source / "notebooks").resolve()):
        raise UsageError(f"{folder} is the course itself; choose another folder for your copy")
    added = []
    try:
        if fresh is not None and (mine := folder / "notebooks" / fresh).exists():
            stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
            mine.rename(mine.with_name(f"{mine.stem}.mine-{stamp}.ipynb"))
        for pattern in _PARTS:
            for path in sorted(source.glob(pattern)):
                copy = folder / path.relative_to(source)
                if not copy.exists():
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, copy)
                    added.append(copy)
    except OSError as e:
        raise OutputError(f"cannot write the course to {folder}: {e.strerror or e}") from e
    return added
