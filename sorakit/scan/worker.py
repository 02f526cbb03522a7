"""One process of a scan: checks one file after another.

Run as `python -P -m sorakit.scan.worker`. In, first line: what `Judge` takes. Then `{"path"}` a line, with
whatever shall stand in the answer under `facts`. Out: as `sorakit.batch.serving` says.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sorakit.batch.serving import Answer, Send, serve
from sorakit.scan.judge import Judge

__all__ = ["begin"]


@contextmanager
def begin(hello: dict[str, Any]) -> Iterator[Answer]:
    """Checking with these settings."""
    judge = Judge(hello)

    def answer(order: dict[str, Any], send: Send) -> dict[str, Any]:
        told = judge(Path(order["path"]), lambda step, share: send({"progress": [step, share]}))
        facts: dict[str, str] = order["facts"]
        return told | facts

    yield answer


if __name__ == "__main__":
    sys.exit(serve(begin))
