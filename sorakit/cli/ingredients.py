"""What a video was made from, as a small tree for the terminal.

In: the ingredients of a credential, nested. Out: a `rich` tree, one line each: relationship, title, state,
signer, what it says of AI, and its first problem.
"""

from typing import Any

from rich.text import Text
from rich.tree import Tree

from sorakit.cli.ui import one_line
from sorakit.nb.words import source_words

__all__ = ["ingredient_tree"]

MAX_LINES = 30

_STATES = {
    "trusted": ("valid, trusted", "green"),
    "valid_untrusted": ("valid, signer not trusted", "yellow"),
    "tampered": ("does not fit", "red"),
    "none": ("no credential", "dim"),
}
_RELATIONS = {"parentOf": "parent", "inputTo": "input", "componentOf": "component"}


def ingredient_tree(ingredients: list[dict[str, Any]]) -> Tree:
    """The ingredients as a tree of at most 30 lines.

    >>> len(ingredient_tree([{"title": "a.mp4", "state": "none"}]).children)
    1
    """
    tree = Tree("", hide_root=True)
    _grow(tree, ingredients, MAX_LINES)
    return tree


def _grow(tree: Tree, ingredients: list[dict[str, Any]], room: int) -> int:
    for number, ingredient in enumerate(ingredients):
        if room <= 0:
            tree.add(Text(f"and {len(ingredients) - number} more", style="dim"))
            return 0
        branch = tree.add(_line(ingredient))
        room = _grow(branch, ingredient.get("ingredients") or [], room - 1)
    return room


def _line(ingredient: dict[str, Any]) -> Text:
    words, colour = _STATES.get(str(ingredient.get("state")), ("unknown", "dim"))
    relation = str(ingredient.get("relationship") or "")
    parts = [f"{_RELATIONS.get(relation, relation)} {ingredient.get('title') or 'untitled'}".strip()]
    if ingredient.get("signer"):
        parts.append(f"signed by {ingredient['signer']}")
    if said := source_words(ingredient.get("digital_source_type")):
        parts.append(said)
    elif ingredient.get("declares_ai"):
        parts.append("declares AI")
    parts += (ingredient.get("problems") or [])[:1]
    return Text.assemble((words, colour), ": ", one_line("; ".join(str(p) for p in parts)))
