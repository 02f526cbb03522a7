"""Check the answer to an exercise without giving it away.

In: what the reader found and what is right. Out: one line: whether it fits, and else what to look at.
"""

from markupsafe import escape

from sorakit.nb.view import View

__all__ = ["expect"]


def expect(answer: object, right: object, hint: str) -> View:
    """Compare an answer with the right one; text without regard to case and outer spaces.

    An answer that is still `None` or `...` is told to be missing, so that a notebook also runs unsolved.

    >>> expect(" Blue ", "blue", "look at the card")
    right
    >>> expect(None, "blue", "look at the card")
    not answered yet; hint: look at the card
    """
    if answer is None or answer is ...:
        return _line("not answered yet", hint)
    fits = _plain(answer) == _plain(right)
    return View('<p role="status">✓ right</p>', "right") if fits else _line("not quite", hint)


def _plain(value: object) -> object:
    return value.strip().casefold() if isinstance(value, str) else value


def _line(state: str, hint: str) -> View:
    return View(f'<p role="status">{escape(state)}; hint: {escape(hint)}</p>', f"{state}; hint: {hint}")
