"""C2PA validation status codes in plain words, and which of them leave the content and the claim intact.

In: a code of C2PA 2.4, section 15.2. Out: a sentence for people.
"""

__all__ = ["CONTENT_MATCH", "CONTENT_MISMATCH", "about_signer", "plain_words"]

CONTENT_MATCH = frozenset(f"assertion.{h}.match" for h in ("bmffHash", "dataHash", "boxesHash"))
CONTENT_MISMATCH = frozenset(f"assertion.{h}.mismatch" for h in ("bmffHash", "dataHash", "boxesHash"))

_WORDS = {
    "signingCredential.untrusted": "the signer's certificate leads to no root that is trusted here",
    "signingCredential.invalid": "the signer's certificate does not meet C2PA's rules",
    "signingCredential.expired": "the signer's certificate has expired, and no trusted time stamp helps",
    "signingCredential.ocsp.revoked": "the signer's certificate was revoked",
    "signingCredential.ocsp.unknown": "the signer's certificate is unknown to its issuer",
    "assertion.bmffHash.mismatch": "the video was changed after it was signed",
    "assertion.dataHash.mismatch": "the file was changed after it was signed",
    "assertion.boxesHash.mismatch": "the file was changed after it was signed",
    "assertion.hashedURI.mismatch": "a statement in the credential was changed after it was signed",
    "assertion.missing": "a statement that the credential lists was removed",
    "assertion.undeclared": "a statement was added to the credential after it was signed",
    "claimSignature.mismatch": "the signature does not fit the credential",
    "claimSignature.missing": "the credential's signature was removed",
    "claimSignature.outsideValidity": "the credential was signed outside its certificate's validity",
    "claim.missing": "the credential's claim was removed",
    "claim.malformed": "the credential's claim cannot be read",
    "claim.hardBindings.missing": "the credential is not bound to any content",
    "ingredient.manifest.mismatch": "an ingredient's credential was changed after this one was signed",
    "ingredient.manifest.missing": "an ingredient's credential was removed",
    "ingredient.claimSignature.mismatch": "an ingredient's signature does not fit its credential",
    "algorithm.unsupported": "the credential uses an algorithm that is not allowed",
    "manifest.multipleParents": "the credential names more than one parent",
}

_SIGNER = ("signingCredential.", "timeStamp.")


def about_signer(code: str) -> bool:
    """Whether a failure touches only who signed or when, not what was signed."""
    return code.startswith(_SIGNER)


def plain_words(code: str) -> str:
    """A sentence for `code`, with the code itself in brackets.

    >>> plain_words("claimSignature.missing")
    "the credential's signature was removed (claimSignature.missing)"
    """
    code = "".join(c for c in code[:100] if c.isprintable())
    return f"{_WORDS.get(code, 'the credential fails a check')} ({code})"
