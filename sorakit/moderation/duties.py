"""Which labelling duties of the EU, China and California a file meets, with the clause and the reason.

In: the evidence of a check. Out: for each law a list of duties, each met, not met, or unknown. What is read
from pixels, from metadata and from a signature differs in weight, and `why` says which it is: the invisible
mark is measured; the visible labels are taken from the signed manifest's own statement, never looked for in
the picture; what only a registry or a provider can know is unknown without them.

EU: Regulation (EU) 2024/1689 (AI Act), Art. 50, and the Code of Practice on marking and labelling (June
2026). China: GB 45438-2025 and the Measures on labelling (标识办法, in force 1 September 2025). California:
Business and Professions Code §§ 22757.2 and 22757.3 (SB 942, operative 2 August 2026). The wording was read
second-hand in summer 2026: read the texts again before relying on this. It is no legal advice.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sorakit.types import Evidence, SourceType

__all__ = ["LAWS", "NOTE", "Duty", "duties_of"]

LAWS = {"eu": "European Union", "cn": "China", "ca": "California"}
NOTE = (
    "A reading aid, not legal advice; laws and codes change, so read the clauses again before you rely on it."
)

Met = bool | Literal["unknown"]

_AI_TYPES = frozenset(SourceType)
_SECTION_1 = "AI Act Art. 50(2); Code of Practice, section 1"
_SECTION_2 = "AI Act Art. 50(4) and (5); Code of Practice, section 2"
_DRAW = "mark the original again with --labels {law}"


@dataclass(frozen=True, slots=True)
class Duty:
    """One thing a law asks of a file. `todo`: what would meet it, where it is not met."""

    duty: str
    clause: str
    met: Met
    why: str
    todo: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def duties_of(evidence: Evidence) -> dict[str, list[dict[str, Any]]]:
    """`{"eu": […], "cn": […], "ca": […]}`, each duty as `Duty.to_json` gives it.

    >>> [d["met"] for d in duties_of(Evidence("a.mp4", None))["cn"]]
    [False, 'unknown', 'unknown', False]
    """
    seen = _Seen(evidence)
    rules: dict[str, tuple[Callable[[_Seen], Duty], ...]] = {
        "eu": (_metadata, _time_stamp, _watermark, _logged, _kept, _icon, _intervals, _alternative),
        "cn": (_aigc, _propagator, _chinese_words, _hidden),
        "ca": (_provider, _system, _time, _unique_id, _detectable, _lasting, _manifest_disclosure),
    }
    return {law: [rule(seen).to_json() for rule in found] for law, found in rules.items()}


class _Seen:
    """The evidence, asked in the words of the duties."""

    def __init__(self, e: Evidence) -> None:
        self.e = e
        self.valid = e.provenance.state in ("trusted", "valid_untrusted")
        self.recovered = e.recovery.state == "recovered"
        self.declared = (e.labels.declared or {}) if self.valid else {}
        stored = (e.recovery.manifest or {}).get("generation") if self.recovered else None
        found = e.provenance.generation if self.valid else stored
        self.generation: dict[str, Any] = found if isinstance(found, dict) else {}
        self.source = (
            "the signed manifest" if self.valid else "the registered manifest its watermark leads to"
        )

    @property
    def no_manifest(self) -> str:
        """Why nothing signed can be relied on."""
        if self.e.provenance.state == "tampered":
            return "the credential does not fit the file"
        return "the file carries no valid signed manifest"

    def visible(self, law: str) -> dict[str, Any] | None:
        """The declared label of this law's kind."""
        return next((v for v in self.declared.get("visible", []) if v.get("scheme") == law), None)


def _metadata(s: _Seen) -> Duty:
    what = ("signed metadata that says AI made or changed it (first layer of two)", _SECTION_1)
    p = s.e.provenance
    if s.valid and p.declares_ai:  # the first source type may be of the camera that an edit began with
        said = p.digital_source_type if p.digital_source_type in _AI_TYPES else "that AI had a part in it"
        trust = "on your trust list" if p.state == "trusted" else "not on your trust list"
        return Duty(*what, True, f"a valid manifest by {p.signer}, {trust}, says {said}")
    if s.recovered:
        return Duty(
            *what, False, "the metadata is gone; the watermark leads to the registered manifest", "sign again"
        )
    why = "the signed manifest declares no AI" if s.valid else s.no_manifest
    return Duty(*what, False, why, "run: sorakit mark FILE -o OUT")


def _time_stamp(s: _Seen) -> Duty:
    what = ("a time stamp on the signature", "Code of Practice, section 1 (signed and time-stamped metadata)")
    if not s.valid:
        return Duty(*what, False, s.no_manifest, "sign it with a time-stamping service: --tsa URL")
    if s.e.provenance.time_stamp:
        return Duty(*what, True, f"the signature carries a time stamp of {s.e.provenance.time_stamp}")
    return Duty(
        *what, False, "the signature carries no time stamp", "sign with a time-stamping service: --tsa URL"
    )


def _watermark(s: _Seen) -> Duty:
    what = ("an imperceptible watermark (second layer of two)", _SECTION_1)
    mark = s.e.watermark
    if mark.found:
        return Duty(
            *what, True, f"{mark.algorithm} decodes; chance of this without a mark below 1e{mark.log10_p:.0f}"
        )
    return Duty(
        *what, False, "no mark that this kit reads was found in the picture", "run: sorakit mark FILE -o OUT"
    )


def _logged(s: _Seen) -> Duty:
    what = (
        "a log entry or fingerprint that the provider can look up",
        "Code of Practice, section 1 (optional)",
    )
    if s.e.in_registry or s.recovered:
        return Duty(*what, True, "this registry holds the manifest, a fingerprint and the log of its signing")
    return Duty(*what, "unknown", "only the registry of whoever published it can know")


def _kept(s: _Seen) -> Duty:
    what = ("marks that it came with are kept", "Code of Practice, section 1 (marks are not removed)")
    p = s.e.provenance
    if s.valid and "c2pa.created" in p.actions:
        return Duty(*what, True, "made from nothing, says the signed manifest: there were none to keep")
    if s.valid and p.ingredients:
        return Duty(
            *what, True, "the manifest names its source as ingredient, and keeps what credential that had"
        )
    return Duty(*what, "unknown", "nobody can tell from a file what was removed from it")


def _icon(s: _Seen) -> Duty:
    what = ("a visible “AI” icon in the top right corner (deep fakes and alike)", _SECTION_2)
    label = s.visible("eu")
    if label and label.get("position") == "top-right":
        return Duty(*what, True, f"the signed manifest states that “{label.get('text')}” was drawn there")
    return _undrawn(s, what, "eu")


def _intervals(s: _Seen) -> Duty:
    what = ("the icon stands at the beginning and again at regular intervals", _SECTION_2)
    label = s.visible("eu")
    if label and label.get("startSeconds") == 0 and label.get("everySeconds"):
        show, every = label.get("showSeconds", 0), label["everySeconds"]
        return Duty(*what, True, f"{show:g} s from the first frame and every {every:g} s, it states")
    return _undrawn(s, what, "eu")


def _alternative(s: _Seen) -> Duty:
    what = ("the disclosure is accessible: a text for those who cannot see it", _SECTION_2)
    told = s.declared.get("textAlternative") or {}
    if told:
        return Duty(*what, True, f"the signed manifest says: {told.get('en') or next(iter(told.values()))}")
    return _undrawn(s, what, "eu")


def _aigc(s: _Seen) -> Duty:
    what = (
        "an AIGC entry in the file's metadata: label, producer, id",
        "GB 45438-2025, annex E; Measures, Art. 5",
    )
    label = s.e.labels.aigc
    if label is None:
        return Duty(*what, False, "there is none", "run: sorakit mark FILE -o OUT")
    missing = [k for k in ("Label", "ContentProducer", "ProduceID") if not label.get(k)]
    if missing or label.get("Label") not in ("1", "2", "3"):
        return Duty(*what, False, f"it lacks {', '.join(missing) or 'a label of 1, 2 or 3'}", "mark it again")
    return Duty(*what, True, f"Label {label['Label']}, producer {label['ContentProducer']}")


def _propagator(s: _Seen) -> Duty:
    what = ("whoever passes it on is named beside the producer", "GB 45438-2025, annex E; Measures, Art. 6")
    label = s.e.labels.aigc or {}
    if label.get("ContentPropagator") and label.get("PropagateID"):
        return Duty(*what, True, f"propagator {label['ContentPropagator']}")
    return Duty(*what, "unknown", "a duty of the platform that passes it on, if there is one")


def _chinese_words(s: _Seen) -> Duty:
    what = (
        "visible words from the first frame for 2 s or more, no lower than 5 % of the shorter side",
        "GB 45438-2025, visible label of video; Measures, Art. 4",
    )
    label = s.visible("cn")
    if label is None:
        return _undrawn(s, what, "cn")
    high, long = label.get("heightShare", 0) >= 0.05, label.get("showSeconds", 0) >= 2
    if high and long and label.get("startSeconds") == 0:
        told = f"the signed manifest states that {label.get('text')} was drawn for {label['showSeconds']:g} s"
        return Duty(*what, True, told)
    if high and label.get("startSeconds") == 0:
        return Duty(*what, "unknown", "it stands all the time, but the video itself is shorter than 2 s")
    return Duty(
        *what, False, "the label that the manifest states is too small or starts late", _DRAW.format(law="cn")
    )


def _hidden(s: _Seen) -> Duty:
    what = ("a watermark in the content (encouraged, not required)", "Measures, Art. 5")
    if s.e.watermark.found:
        return Duty(*what, True, "an invisible mark decodes from the picture")
    return Duty(*what, False, "no mark that this kit reads was found", "run: sorakit mark FILE -o OUT")


def _disclosed(s: _Seen, what: tuple[str, str], value: Any) -> Duty:
    if value:
        return Duty(*what, True, f"{s.source} says: {str(value)[:200]}")
    if s.valid or s.recovered:
        return Duty(*what, False, f"{s.source} does not say", "sign it with sorakit, which states it")
    return Duty(*what, False, s.no_manifest, "run: sorakit mark FILE -o OUT")


def _provider(s: _Seen) -> Duty:
    what = ("the provider's name, latent in the file", "§ 22757.3(b)(1): name of the covered provider")
    return _disclosed(s, what, s.generation.get("provider"))


def _system(s: _Seen) -> Duty:
    what = (
        "name and version of the system that made or changed it",
        "§ 22757.3(b)(1): name and version number",
    )
    made = s.generation.get("model") or s.generation.get("system")
    made = made if isinstance(made, dict) else {}
    named = made.get("name") and made.get("version")
    return _disclosed(s, what, f"{made['name']} {made['version']}" if named else None)


def _time(s: _Seen) -> Duty:
    what = ("time and date of its creation or alteration", "§ 22757.3(b)(1): time and date")
    return _disclosed(s, what, s.generation.get("time"))


def _unique_id(s: _Seen) -> Duty:
    what = ("a unique identifier", "§ 22757.3(b)(1): unique identifier")
    return _disclosed(s, what, s.generation.get("uniqueId"))


def _detectable(s: _Seen) -> Duty:
    what = ("a free tool finds the disclosure", "§§ 22757.2(a) and 22757.3(b)(2)")
    if s.valid or s.e.watermark.found:
        return Duty(*what, True, "this check found it, and anyone may run it")
    return Duty(*what, False, "this check found none", "run: sorakit mark FILE -o OUT")


def _lasting(s: _Seen) -> Duty:
    what = ("the disclosure is hard to remove, as far as is feasible", "§ 22757.3(b)(4)")
    if s.e.watermark.found:
        return Duty(*what, True, "a watermark in the picture leads back to it after the metadata is gone")
    return Duty(*what, False, "metadata alone is removed by any re-encoding", "run: sorakit mark FILE -o OUT")


def _manifest_disclosure(s: _Seen) -> Duty:
    what = ("a visible disclosure, where the user chooses it (optional)", "§ 22757.3(a)")
    label = s.visible("eu")
    if label:
        return Duty(*what, True, f"the signed manifest states that “{label.get('text')}” was drawn")
    return _undrawn(s, what, "ca-visible")


def _undrawn(s: _Seen, what: tuple[str, str], law: str) -> Duty:
    """No statement of such a label: ours says what it drew, others may have drawn without a statement."""
    if s.valid and s.generation:
        return Duty(*what, False, "the signed manifest states none", _DRAW.format(law=law))
    return Duty(
        *what, "unknown", "nothing signed states it, and the picture is not searched", _DRAW.format(law=law)
    )
