"""The settings under which C2PA files are written and read: offline, every byte hashed, bounded memory.

In: a `Trust`. Out: a `c2pa.Context`. One context is made a call: contexts may not cross a fork.
"""

from typing import Any

from c2pa import Context

from sorakit.provenance.trust import Trust

__all__ = ["CLAIM_EKUS", "CLAIM_LIST", "STAMP_LIST", "safe_context"]

CLAIM_EKUS = (
    "1.3.6.1.4.1.62558.2.1",  # c2pa-kp-claimSigning, the conformance programme's
    "1.3.6.1.5.5.7.3.4",  # emailProtection
    "1.3.6.1.5.5.7.3.36",  # documentSigning
)
"""Extended key usages that a claim signer may have. Time-stamping and OCSP are not among them."""

CLAIM_LIST = "sorakit:claims"
STAMP_LIST = "sorakit:stamps"


def safe_context(trust: Trust | None = None) -> Context:
    """A context without network access that checks the content hash after signing and hashes `free` boxes."""
    trust = trust or Trust()
    anchors = [
        {"trust_anchors": "\n".join(pems), "trust_uri": uri, "trust_kind": kind}
        for pems, uri, kind in ((trust.claims, CLAIM_LIST, "manifest"), (trust.stamps, STAMP_LIST, "tsa"))
        if pems
    ]
    settings: dict[str, Any] = {
        "trust": {"anchors": anchors, "trust_config": "\n".join(CLAIM_EKUS) + "\n"},
        "verify": {"remote_manifest_fetch": False, "verify_after_sign_hash": True, "ocsp_fetch": False},
        "core": {"allowed_network_hosts": [], "backing_store_memory_threshold_in_mb": 16},
        "builder": {
            "bmff_hash_exclude_free_and_skip_boxes": False,
            "thumbnail": {"enabled": False},  # ours is drawn from the marked video
        },
    }
    return Context.from_dict(settings)
