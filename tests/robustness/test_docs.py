"""The page of attacks names every attack with its range, as the suite has it."""

from pathlib import Path

from sorakit.robustness.run import listed

PAGE = Path(__file__).parents[2] / "docs" / "attacks.md"


def test_the_page_lists_what_there_is() -> None:
    text = PAGE.read_text()
    assert f"There are {len(listed())} attacks" in text
    for attack in listed():
        line = next(line for line in text.splitlines() if line.startswith(f"| `{attack.name}` |"))
        assert attack.summary in line
        if attack.strength:
            s = attack.strength
            assert f"{s.low:g}, **{s.default:g}**, {s.high:g} {s.unit}" in line
