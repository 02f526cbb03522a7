"""A `Credential`: the C2PA findings on one file or stored manifest, as JSON where it crosses a process.

In: c2pa-python's report and the store's bytes. Out: `Credential`.
"""

from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from sorakit.provenance.softbinding import SoftBinding
from sorakit.types import ProvenanceEvidence

__all__ = ["Credential"]


@dataclass(frozen=True, slots=True)
class Credential:
    """The findings, plus what the registry is compared with.

    `signer_chain`: PEM of the active claim's signer and the certificates above it, for a trusted signer only.
    `soft_bindings`: (algorithm, value) of the active manifest. `store_sha256`: of the whole manifest store.
    `manifest_ids`: labels of all manifests in it, the active one included. `generation`: the kit's own
    assertion, if the active manifest has one; `labels`: its statement of visible labels.
    """

    provenance: ProvenanceEvidence = field(default_factory=ProvenanceEvidence)
    soft_bindings: list[SoftBinding] = field(default_factory=list)
    store_sha256: str | None = None
    manifest_ids: list[str] = field(default_factory=list)
    generation: dict[str, Any] | None = None
    signer_chain: list[str] = field(default_factory=list)
    labels: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; `from_json` gives the same credential back."""
        result: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return result

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Credential":
        """Raises `pydantic.ValidationError` when `data` is not what `to_json` makes."""
        return _ADAPTER.validate_python(data)


_ADAPTER = TypeAdapter(Credential)
