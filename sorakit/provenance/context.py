"""The settings under which C2PA files are written and read: offline, every byte hashed, bounded memory.

In: a `Trust`. Out: a `c2pa.Context`. One context is made a call: contexts may not cross a fork.
"""

from typing import Any

from c2pa import Context

from sorakit.provenance.trust import Trust
from sorakit.provenance.usages import CLAIM_EKUS

__all__ = ["CLAIM_LIST", "NAME_LIST", "STAMP_LIST", "safe_context"]

CLAIM_LIST = "sorakit:claims"
STAMP_LIST = "sorakit:stamps"
NAME_LIST = "sorakit:names"


def safe_context(trust: Trust | None = None, *, check_hash: bool = True) -> Context:
    """A context without network access that hashes `free` boxes and, with `check_hash`, reads back."""
    trust = trust or Trust()
    anchors = [
        {"trust_anchors": "\n".join(pems), "trust_uri": f"{uri}:{name}".rstrip(":"), "trust_kind": kind}
        for listed, of, uri, kind in (
            ("claims", trust.claims, CLAIM_LIST, "manifest"),
            ("tsa", trust.stamps, STAMP_LIST, "tsa"),
            ("cawg", trust.names, NAME_LIST, "cawg"),
        )
        for name, pems in trust.of_kind(listed, of)
    ]
    settings: dict[str, Any] = {
        "trust": {"anchors": anchors, "trust_config": "\n".join(CLAIM_EKUS) + "\n"},
        "verify": {"remote_manifest_fetch": False, "verify_after_sign_hash": check_hash, "ocsp_fetch": False},
        "core": {"allowed_network_hosts": [], "backing_store_memory_threshold_in_mb": 16},
        "builder": {
            "bmff_hash_exclude_free_and_skip_boxes": False,
            "thumbnail": {"enabled": False},  # ours is drawn from the marked video
        },
    }
    return Context.from_dict(settings)
