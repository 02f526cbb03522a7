"""Whose signatures count: the trust anchors of this user and of one check.

In: settings, an optional list file, whether the development root counts. Out: a `Trust` for `verify`.
No list is shipped: which roots to believe is the user's decision (`sorakit trust import`). Roots are kept
apart by what their list is for, since one that may stamp times or vouch for names (CAWG) must not thereby
be able to sign claims.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from sorakit.config import Settings
from sorakit.errors import UsageError
from sorakit.provenance.keys import dev_anchor
from sorakit.provenance.lists import TrustList, read_list, stored_lists

__all__ = ["Trust", "load_trust"]

DEV_LIST = "dev"


@dataclass(frozen=True, slots=True)
class Trust:
    """Trust anchors in PEM. `claims`: roots of claim signers; `stamps`: roots of time-stamping services only.

    `development`: the development roots among `claims`. `names`: roots of CAWG identities, which vouch for
    no claim. `lists`: where the anchors come from; an anchor may also stand in none of them.
    """

    claims: tuple[str, ...] = ()
    stamps: tuple[str, ...] = ()
    development: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    lists: tuple[TrustList, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, for the child process that reads foreign files."""
        result: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return result

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Trust":
        """Raises `pydantic.ValidationError` when `data` is not what `to_json` makes."""
        return _ADAPTER.validate_python(data)

    def of_kind(self, kind: str, anchors: tuple[str, ...]) -> list[tuple[str, list[str]]]:
        """`anchors` by the list of `kind` that holds them, each once; the others under the name ""."""
        rest = dict.fromkeys(anchors)
        found: list[tuple[str, list[str]]] = []
        for entry in self.lists:
            own = [a for a in entry.anchors if a in rest] if entry.kind == kind else []
            for anchor in own:
                rest.pop(anchor, None)
            if own:
                found.append((entry.name, list(dict.fromkeys(own))))
        return [*found, ("", list(rest))] if rest else found

    def list_named(self, name: str) -> TrustList | None:
        """The claim-signing list of that name."""
        return next((x for x in self.lists if x.kind == "claims" and x.name == name), None)


_ADAPTER = TypeAdapter(Trust)


def load_trust(settings: Settings, *, extra: Path | None = None, dev: bool = False) -> Trust:
    """Anchors from `settings.trust_dir`, from the file `extra`, with `dev` also the dev root.

    The trust folder holds imported lists (`sorakit trust import`) and PEM files put there by hand: one whose
    name contains "tsa" holds time-stamping roots alone, one with "cawg" roots of identities. The roots of
    `extra` may do both, sign claims and stamp times. Raises `UsageError` when a file cannot be read, or when
    `dev` is asked for and there is no development identity.

    >>> load_trust(Settings(home=Path("/nonexistent"))).claims
    ()
    """
    lists = [] if extra is None else [read_list(extra, kind="claims", any_usage=True)]
    lists += stored_lists(settings.trust_dir)
    development: tuple[str, ...] = ()
    if dev:
        anchor = dev_anchor(settings.keys_dir)
        if anchor is None:
            raise UsageError(
                f"`--trust dev` needs a development identity and there is none in {settings.keys_dir}; "
                "create it with: sorakit keys dev"
            )
        development = (anchor.decode(),)
        lists.append(TrustList(DEV_LIST, "claims", anchors=development))
    by_kind: dict[str, dict[str, None]] = {"claims": {}, "tsa": {}, "cawg": {}}  # ordered, without doubles
    for entry in lists:
        by_kind[entry.kind].update(dict.fromkeys(entry.anchors))
    # A root that is in two kinds of lists is named by the first that the reader looks at: keep one.
    claims = by_kind["claims"]
    stamps = tuple(a for a in by_kind["tsa"] if a not in claims)
    names = tuple(a for a in by_kind["cawg"] if a not in claims and a not in by_kind["tsa"])
    return Trust(tuple(claims), stamps, development, names, tuple(lists))
