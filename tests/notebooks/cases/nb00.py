"""Answers to notebook 00."""

from sorakit.types import Decision, Evidence, ProvenanceEvidence, Verdict

_signed = Evidence("clip.mp4", None, ProvenanceEvidence("valid_untrusted", "sorakit development"))
_verdict = Verdict(Decision.AI_DECLARED, _signed, [], "platform", 1)

RIGHT = {
    "00.1": ("sorakit development", _verdict),
    "00.2": ("watermark",),
    "00.3": (False,),
}

WRONG = {
    "00.1": [("sorakit", _verdict), (_signed.provenance, _verdict), ("<b>me</b>", _verdict)],
    "00.2": [("credential",), (True,)],
    "00.3": [(True,), ("no",), (0,)],
}
