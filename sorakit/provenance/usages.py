"""Extended key usages that a claim signer's certificate may have: C2PA 2.4, section 14.5.1.

In: nothing. Out: OIDs, for the reader's settings, for lists of anchors, and for our own check of a leaf.
"""

__all__ = ["CLAIM_EKUS"]

CLAIM_EKUS = (
    "1.3.6.1.4.1.62558.2.1",  # c2pa-kp-claimSigning, the conformance programme's
    "1.3.6.1.5.5.7.3.4",  # emailProtection
    "1.3.6.1.5.5.7.3.36",  # documentSigning
)
"""Time-stamping and OCSP are not among them."""
