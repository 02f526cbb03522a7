"""The credential card: one check's evidence as a small readable table, in HTML and as text.

In: a `Verdict` and, where our registry holds the manifest, its `Credential`. Out: `CredentialCard`, which
notebooks show by itself and the demo's report embeds. All text in a card may come from a foreign file, so
it goes through an autoescaping template and never into HTML by hand.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sorakit.config import Settings
from sorakit.nb.words import (
    BADGES,
    Badge,
    action_words,
    credential_words,
    mark_words,
    recovery_words,
    source_words,
)
from sorakit.provenance.credential import Credential
from sorakit.provenance.keys import DEV_NAME
from sorakit.provenance.trust import Trust
from sorakit.registry.repo import Registry
from sorakit.registry.stored import open_stored
from sorakit.types import Verdict

__all__ = ["CredentialCard", "Fact", "environment", "registered_credential"]

MAX_TEXT = 400
_LONGEST = 24  # characters of an id
_NOTE = "Development certificate: nobody trusts it but you."


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a card; `code` values are ids, shown in a fixed-width face."""

    name: str
    value: str
    kind: Literal["text", "code"] = "text"


@dataclass(frozen=True, slots=True)
class CredentialCard:
    """What a check found, for people. Notebooks render it as HTML, terminals as text.

    `credential`: the registered manifest's own words (model, time, soft binding); `of` looks it up.

    >>> from sorakit.check import check
    >>> print(CredentialCard(check("missing.mp4")))
    error  no such file: missing.mp4
    """

    verdict: Verdict
    credential: Credential | None = None

    @classmethod
    def of(cls, verdict: Verdict, settings: Settings | None = None) -> "CredentialCard":
        """The card with what our registry knows of the manifest."""
        return cls(verdict, registered_credential(verdict, settings or Settings()))

    @property
    def badge(self) -> Badge:
        """How the decision is shown."""
        return BADGES[self.verdict.decision]

    @property
    def evidence(self) -> list[Fact]:
        """What the layers found: credential, mark, registry. Empty for a file that could not be read."""
        v = self.verdict
        if v.evidence.error is not None:
            return []
        return _short(
            Fact("Credential", credential_words(v)),
            Fact("Watermark", mark_words(v)),
            Fact("Registry", recovery_words(v)),
        )

    @property
    def claims(self) -> list[Fact]:
        """What the credential says, embedded or recovered; empty without one."""
        return _short(*_who(self.verdict), *_how(self.credential), *_ids(self.verdict, self.credential))

    @property
    def heading(self) -> str:
        """Whose words the signer's lines are: the file's own, recovered ones, or ones not to be believed."""
        evidence = self.verdict.evidence
        if evidence.error is not None:
            return "No answer"
        if evidence.provenance.state == "tampered":
            return "What the broken credential claimed"
        if evidence.provenance.state == "none" and evidence.recovery.state == "recovered":
            return "The credential that the mark led back to"
        return "Credential" if evidence.provenance.state != "none" else "No credential"

    @property
    def note(self) -> str | None:
        """A warning about the signer, where there is one."""
        return _NOTE if DEV_NAME in (_signer(self.verdict) or "") else None

    def _repr_html_(self) -> str:
        template = environment().get_template("card_page.html.j2")
        return template.render(card=self, styles=styles())

    def __str__(self) -> str:
        lines = [f"{self.verdict.decision}  {' '.join(self.verdict.reasons)}"]
        lines += [f"  {f.name:14} {f.value}" for f in [*self.evidence, *self.claims]]
        return "\n".join([*lines, *([f"  {self.note}"] if self.note else [])])

    __repr__ = __str__


@cache
def environment() -> Environment:
    """Templates of cards: everything is escaped, and a name that is missing is an error."""
    return Environment(
        loader=PackageLoader("sorakit.nb"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def styles() -> Markup:
    """The card's style sheet, our own text."""
    source = environment().loader
    if source is None:  # pragma: no cover - `environment` always sets one
        return Markup()
    return Markup(source.get_source(environment(), "card.css")[0])  # noqa: S704 - a file of this package


def registered_credential(verdict: Verdict, settings: Settings) -> Credential | None:
    """The manifest that our registry holds for a checked file, embedded or recovered, or None."""
    evidence = verdict.evidence
    recovered = evidence.recovery.manifest_id if evidence.recovery.state == "recovered" else None
    wanted = recovered or (evidence.provenance.manifest_id if evidence.in_registry else None)
    if wanted is None or not Registry.exists(settings.database_url):
        return None
    with Registry(settings.database_url) as registry:
        record = registry.get(wanted)
    return None if record is None else open_stored(record.store, Trust(), settings.limits)


def _signer(v: Verdict) -> str | None:
    return v.evidence.provenance.signer or (v.evidence.recovery.manifest or {}).get("signer")


def _short(*facts: Fact) -> list[Fact]:
    return [Fact(f.name, f.value[:MAX_TEXT], f.kind) for f in facts if f.value]


def _who(v: Verdict) -> list[Fact]:
    own, found = v.evidence.provenance, v.evidence.recovery.manifest or {}
    source = own.digital_source_type or found.get("digital_source_type")
    actions = own.actions or found.get("actions") or []
    return [
        Fact("Signed by", _signer(v) or ""),
        Fact("Declares", source_words(source) or ""),
        Fact("What was done", ", ".join(action_words(a) for a in actions)),
        Fact("Made with", own.claim_generator or found.get("claim_generator") or ""),
    ]


def _how(credential: Credential | None) -> list[Fact]:
    """From the kit's own assertion; another tool's manifest has none."""
    data: dict[str, Any] = (credential.generation if credential else None) or {}
    model = data.get("model")
    name = f"{model.get('name', '')} {model.get('version', '')}".strip() if isinstance(model, dict) else ""
    return [
        Fact("Model", name),
        Fact("Prompt", str(data.get("prompt") or ("kept private" if data.get("promptDigest") else ""))),
        Fact("Seed", str(data.get("seed", ""))),
        Fact("Time", str(data.get("time", "")).replace("T", " ").replace("Z", " UTC")),
    ]


def _ids(v: Verdict, credential: Credential | None) -> list[Fact]:
    bindings = credential.soft_bindings if credential else []
    manifest_id = v.evidence.recovery.manifest_id or v.evidence.provenance.manifest_id
    return [
        Fact("Soft binding", ", ".join(f"{_start(value)} ({name})" for name, value in bindings), "code"),
        Fact("Manifest", manifest_id or "", "code"),
    ]


def _start(value: str) -> str:
    """A mark's id whole; of a fingerprint, which is long, its start."""
    return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
