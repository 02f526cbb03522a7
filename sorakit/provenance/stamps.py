"""Put an RFC 3161 time stamp into a manifest store that is already signed.

In: a manifest store whose signature box has padding, and how to stamp. Out: the same store, as long as
before, with the stamp in the COSE header that is not signed (`sigTst2`). C2PA 2.4, sections 10.3.2.5 and
13.2.3; RFC 9052 (COSE_Sign1); RFC 8152, section 4.5 (what is stamped: a counter-signature's structure over
the signature, in CBOR).

The stamp can come after the signature because it covers nothing but the signature, and because the
signature's box is what no hash covers. So a service that stalls or fails costs no second pass over the file.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import cbor2
from c2pa import C2paError, Reader

from sorakit.errors import ProvenanceError, UsageError
from sorakit.provenance.context import safe_context
from sorakit.provenance.store import active_signature
from sorakit.provenance.tsa import ask, check_url

__all__ = ["Policy", "Stamping", "stamp_store"]

Policy = Literal["off", "best_effort", "required"]

_HEADER = "sigTst2"
_PADS = ("pad", "pad2")
_TAG = 18  # COSE_Sign1


@dataclass(frozen=True, slots=True)
class Stamping:
    """Where time stamps come from. `timeout`: seconds for the whole exchange.

    `best_effort` signs without a stamp where none is to be had, and says so; `required` does not sign then.
    """

    url: str
    policy: Policy = "best_effort"
    timeout: float = 10.0

    def __post_init__(self) -> None:
        """Refuse an address or a time that cannot be."""
        check_url(self.url)
        if not 0 < self.timeout <= 300:
            raise UsageError(
                f"the time for a time stamp must be over 0 and at most 300 s, got {self.timeout}"
            )


def stamp_store(store: bytes, stamping: Stamping) -> tuple[bytes, str | None]:
    """`store` with a time stamp, and None; or `store` as it is, and why it has none.

    The stamp is read back through C2PA's own check. Raises `ProvenanceError` instead when the policy is
    `required`. With the policy `off` nothing is asked.

    >>> stamp_store(store, Stamping("http://tsa.example"))  # doctest: +SKIP
    """
    if stamping.policy == "off":
        return store, None
    try:
        return _stamped(store, lambda data: ask(stamping.url, data, timeout=stamping.timeout)), None
    except ProvenanceError as e:
        if stamping.policy == "required":
            raise ProvenanceError(
                f"{e}; a time stamp is required, so nothing was signed (--tsa-policy best_effort allows it)"
            ) from e
        return store, str(e)


def _stamped(store: bytes, token_of: Callable[[bytes], bytes]) -> bytes:
    start, end = active_signature(store)
    message: Any = cbor2.loads(store[start:end])
    protected, loose, payload, signature = message.value
    token = token_of(cbor2.dumps(["CounterSignature", protected, b"", cbor2.dumps(signature)]))
    headers = {k: v for k, v in loose.items() if k not in _PADS}
    headers[_HEADER] = {"tstTokens": [{"val": token}]}
    box = _padded(headers, protected, payload, signature, end - start)
    made = store[:start] + box + store[end:]
    _must_hold(made)
    return made


def _padded(headers: dict[Any, Any], protected: bytes, payload: Any, signature: bytes, size: int) -> bytes:
    """The message in exactly `size` bytes: the length of a byte string's own header makes two pads needed."""

    def message(**pads: bytes) -> bytes:
        return cbor2.dumps(cbor2.CBORTag(_TAG, [protected, headers | pads, payload, signature]))

    room = size - len(message(pad=b""))
    if room < 0:
        raise ProvenanceError(f"the time stamp is {-room} bytes too long for the room that was left for it")
    for less in range(9):
        if less <= room and len(made := message(pad=bytes(room - less))) == size:
            return made
    rest = size - len(message(pad=b"", pad2=bytes(8)))
    for less in range(9):
        if rest - less >= 0 and len(made := message(pad=bytes(rest - less), pad2=bytes(8))) == size:
            return made
    raise ProvenanceError("the time stamp does not fit the room that was left for it")


def _must_hold(store: bytes) -> None:
    """Read the store as a stranger would: claim signature and time stamp have to be good."""
    try:
        with (
            safe_context() as context,
            Reader("application/c2pa", io.BytesIO(store), context=context) as reader,
        ):
            active = (reader.get_validation_results() or {}).get("activeManifest") or {}
    except C2paError as e:
        raise ProvenanceError(f"the time stamp cannot be read back: {e}") from e
    good = {s.get("code") for s in active.get("success") or []}
    said = [str(s.get("code")) for part in ("failure", "informational") for s in active.get(part) or []]
    # The authority's trust is the reader's to judge, and nobody is trusted here.
    told = sorted(c for c in said if c.startswith("timeStamp") and c != "timeStamp.untrusted")
    if not {"claimSignature.validated", "timeStamp.validated"} <= good or told:
        raise ProvenanceError(f"the time stamp does not hold: {', '.join(told) or 'its signature is wrong'}")
