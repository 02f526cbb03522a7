"""One process of a batch: takes orders as JSON lines on stdin, publishes, answers on what was stdout.

Run as `python -P -m sorakit.batch.worker`. In, first line: settings. Then `{"source", "output", …}` a line.
Out: `{"progress": […]}`, then `{"done": {…}}` or `{"failed": …}` for each order. SIGTERM ends it as Ctrl-C
would, so that a half-made file goes away; so does the end of stdin, between two files.
"""

import json
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from sorakit.config import Settings
from sorakit.errors import SorakitError
from sorakit.provenance.sign import SigningSession, signing_session
from sorakit.publish import publish
from sorakit.types import Generation, SourceType

__all__ = ["main"]

STOPPED = 130


def main() -> int:
    """Serve orders until stdin ends."""
    signal.signal(signal.SIGTERM, _stop)
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # prints of native libraries cannot break the protocol

    def send(line: dict[str, Any]) -> None:
        channel.write(json.dumps(line).encode() + b"\n")
        channel.flush()

    try:
        settings = Settings(**json.loads(sys.stdin.buffer.readline()))
        with ExitStack() as stack:
            session: SigningSession | None = None
            for line in sys.stdin.buffer:
                try:
                    session = session or stack.enter_context(signing_session(settings, check_hash=False))
                    send({"done": _publish(json.loads(line), settings, session, send)})
                except SorakitError as e:
                    send({"failed": str(e), "error": type(e).__name__})
    except (KeyboardInterrupt, BrokenPipeError):
        return STOPPED
    return 0


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _publish(order: dict[str, Any], settings: Settings, session: SigningSession, send: Any) -> dict[str, Any]:
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
    sys.exit(main())
