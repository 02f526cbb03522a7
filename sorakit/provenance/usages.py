"""What a certificate may be used for: C2PA 2.4, section 14.5.1; extensions of RFC 5280, section 4.2.

In: a certificate. Out: one of its extensions; and the extended key usages (OIDs) of claim signers, for the
reader's settings, for lists of anchors, and for our own checks of a leaf.
"""

from typing import TypeVar

from cryptography import x509

__all__ = ["CLAIM_EKUS", "extension_of"]

CLAIM_EKUS = (
    "1.3.6.1.4.1.62558.2.1",  # c2pa-kp-claimSigning, the conformance programme's
    "1.3.6.1.5.5.7.3.4",  # emailProtection
    "1.3.6.1.5.5.7.3.36",  # documentSigning
)
"""Time-stamping and OCSP are not among them."""

_Kind = TypeVar("_Kind", bound=x509.ExtensionType)


def extension_of(certificate: x509.Certificate, kind: type[_Kind]) -> _Kind | None:
    """The certificate's extension of this kind, or None where it has none.

    Raises `ValueError` when its extensions cannot be read: what that means differs from caller to caller.

    >>> extension_of(certificate, x509.BasicConstraints)  # doctest: +SKIP
    <BasicConstraints(ca=True, path_length=None)>
    """
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as e:
        raise ValueError(str(e)) from e
