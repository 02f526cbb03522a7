"""One process of a batch: publishes one file after another, with one signing session.

Run as `python -P -m sorakit.batch.worker`. In, first line: settings. Then `{"source", "output", …}` a line.
Out: as `sorakit.batch.serving` says, with what `sorakit mark --json` prints in `done`.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sorakit.batch.serving import Answer, Send, serve
from sorakit.config import Settings
from sorakit.provenance.sign import SigningSession, signing_session
from sorakit.publish import publish
from sorakit.types import Generation, SourceType

__all__ = ["begin"]


@contextmanager
def begin(hello: dict[str, Any]) -> Iterator[Answer]:
    """Publishing with these settings; the session opens with the first order."""
    settings = Settings(**hello)
    with ExitStack() as stack:
        session: SigningSession | None = None

        def answer(order: dict[str, Any], send: Send) -> dict[str, Any]:
            nonlocal session
            session = session or stack.enter_context(signing_session(settings, check_hash=False))
            return _publish(order, settings, session, send)

        yield answer


def _publish(
    order: dict[str, Any], settings: Settings, session: SigningSession, send: Send
) -> dict[str, Any]:
    made_by = order.get("generation")
    done = publish(
        Path(order["source"]),
        Path(order["output"]),
        source_type=SourceType(order["source_type"]),
        generation=Generation(**made_by) if made_by else None,
        overwrite=bool(order["overwrite"]),
        settings=settings,
        session=session,
        progress=lambda step, share: send({"progress": [step, share]}),
    )
    return done.to_json()


if __name__ == "__main__":
    sys.exit(serve(begin))
