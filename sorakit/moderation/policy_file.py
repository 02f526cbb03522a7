"""Policies as YAML files: the shipped ones by name, a user's by path.

In: a name or a path. Out: a `Policy`, or a `UsageError` that names the line and what is wrong there. YAML is
read with the safe loader only; aliases, which can blow a small file up, tags, deep nesting (reading it takes
time that grows with its square), double keys and files over 64 KiB are refused.
"""

import difflib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sorakit.errors import UsageError
from sorakit.moderation.policy import Bands, Follow, Policy
from sorakit.moderation.rules import RULES
from sorakit.types import Decision

__all__ = ["load_policy", "parse_policy", "shipped"]

MAX_BYTES = 64 << 10
_DEPTH = 8
_OPENS = (
    yaml.BlockSequenceStartToken,
    yaml.BlockMappingStartToken,
    yaml.FlowSequenceStartToken,
    yaml.FlowMappingStartToken,
)
_CLOSES = (yaml.BlockEndToken, yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken)
_WORDS = [*Policy.model_fields, *Bands.model_fields, *Follow.model_fields, *Decision]

Loc = tuple[str | int, ...]


def shipped() -> list[str]:
    """Names of the policies that come with the kit.

    >>> "newsroom" in shipped()
    True
    """
    return sorted(f.name.removesuffix(".yaml") for f in _folder().iterdir() if f.name.endswith(".yaml"))


def load_policy(source: str | Path) -> Policy:
    """A shipped policy by its name, or the file at a path.

    Raises `UsageError` for what is neither, or is no valid policy.

    >>> load_policy("default").version
    1
    """
    name = str(source)
    if name in shipped():
        return _shipped(name)
    path = Path(source)
    try:
        with path.open("rb") as f:
            data = f.read(MAX_BYTES + 1)
    except OSError as e:
        raise UsageError(
            f"no policy {name!r}: {', '.join(shipped())} are shipped, and as a file it cannot be read "
            f"({e.strerror})"
        ) from e
    if len(data) > MAX_BYTES:
        raise UsageError(f"a policy has at most {MAX_BYTES} bytes, {name} has more")
    try:
        return parse_policy(data.decode(), name)
    except UnicodeDecodeError as e:
        raise UsageError(f"{name} is no policy: it must be UTF-8 text ({e.reason} at byte {e.start})") from e


def parse_policy(text: str, name: str) -> Policy:
    """Parse and validate; `name` stands in messages.

    >>> parse_policy("{name: mine, version: 1, about: Says what the default says.}", "x").label
    'mine@1'
    """
    try:
        _refuse_bombs(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[Loc, int] = {}
        data = _plain(node, (), lines) if node is not None else None
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise UsageError(
            f"{name}: {where}no YAML: {getattr(e, 'problem', None) or ' '.join(str(e).split())}"
        ) from e
    except ValueError as e:
        raise UsageError(f"{name}: {e}") from e
    if not isinstance(data, dict):
        raise UsageError(f"{name}: a policy is a mapping with name, version and about; see docs/policy.md")
    try:
        return Policy.model_validate(data)
    except ValidationError as e:
        raise UsageError("; ".join(_told(name, error, lines) for error in e.errors())) from e


@cache
def _shipped(name: str) -> Policy:
    return parse_policy((_folder() / f"{name}.yaml").read_text("utf-8"), name)


def _folder() -> Any:
    return files("sorakit.moderation") / "policies"


def _refuse_bombs(text: str) -> None:
    """Raise `ValueError` for what a policy needs none of and a hostile one would use, before it is built."""
    depth = 0
    for token in yaml.scan(text):
        line = token.start_mark.line + 1
        if isinstance(token, yaml.AliasToken | yaml.AnchorToken):
            raise ValueError(f"line {line}: anchors and aliases are not taken in a policy; write it out")
        if isinstance(token, yaml.TagToken):
            raise ValueError(f"line {line}: tags (!) are not taken in a policy; write the plain value")
        depth += isinstance(token, _OPENS) - isinstance(token, _CLOSES)
        if depth > _DEPTH:
            raise ValueError(f"line {line}: nested deeper than {_DEPTH}")


def _plain(node: yaml.Node, at: Loc, lines: dict[Loc, int]) -> Any:
    """Plain data of a node, and on which line each value stands; double keys are refused."""
    lines[at] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, (*at, i), lines) for i, child in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        out: dict[str, Any] = {}
        for key, value in node.value:
            word = str(key.value)
            if word in out:
                raise ValueError(f"line {key.start_mark.line + 1}: {word!r} stands twice")
            out[word] = _plain(value, (*at, word), lines)
            lines[(*at, word)] = key.start_mark.line + 1
        return out
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node)
    except ValueError as e:  # a date or a number that cannot be
        raise ValueError(f"line {lines[at]}: {e}") from e
    finally:
        loader.dispose()


def _told(name: str, error: Any, lines: dict[Loc, int]) -> str:
    """One problem in words, with its line."""
    message = str(error["msg"]).removeprefix("Value error, ")
    at: Loc = tuple(part for part in error["loc"] if part != "[key]")
    if not at and message.startswith("`"):  # a rule about the whole that names its place
        at = tuple(message.split("`")[1].split("."))
    while at and at not in lines:
        at = at[:-1]
    where = "" if message.startswith("`") else ".".join(map(str, at))
    head = f"{name}: line {lines.get(at, 1)}: " + (f"`{where}`: " if where else "")
    if error["type"] == "extra_forbidden":
        key = str(error["loc"][-1])
        if len(error["loc"]) == 1 and key in Bands.model_fields:
            return head + "no such key here; it belongs under `detector`"
        return head + f"no such key{_near(key, _WORDS)}"
    if error["type"] == "missing":
        return head + f"`{error['loc'][-1]}` is missing"
    if error["type"] == "enum":
        known = [str(d) for d in (Decision if error["loc"][0] == "then" else RULES)]
        return head + f"no such decision{_near(str(error['input']), known)}"
    return head + message


def _near(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
