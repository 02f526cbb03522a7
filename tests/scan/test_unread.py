"""Files that get no verdict of their own: what the policy says of an error follows for them as well."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from sorakit.cli.ui import print_json
from sorakit.moderation.decision_log import replay
from sorakit.moderation.policy_file import load_policy
from sorakit.nb.review import ReviewQueue
from sorakit.scan import Order, scan
from sorakit.scan import run as runs
from sorakit.types import Decision, Evidence, Verdict


def test_the_policy_holds_what_could_not_even_be_read(way: Any) -> None:
    base, out, log = way.tmp / "in", way.tmp / "report", way.tmp / "decisions.jsonl"
    base.mkdir()
    (base / "big.mp4").write_bytes(b"0" * 5000)
    limits = way.settings.limits.model_copy(update={"max_bytes": 4000})
    settings, policy = way.settings.model_copy(update={"limits": limits}), load_policy("platform")
    scan(Order(str(base), out, settings=settings, policy=policy, log=log, stills=0))
    (line,) = (json.loads(text) for text in (out / "sorakit-scan.jsonl").read_text().splitlines())
    alone = way.check(base / "big.mp4", settings=settings, policy=policy).to_json()
    assert {k: line[k] for k in ("decision", "policy", "action", "review")} == {
        k: alone[k] for k in ("decision", "policy", "action", "review")
    }
    assert line["action"] == "hold"
    assert replay(log, policy).changes == []  # the same policy decides the same
    assert len(ReviewQueue(out / "sorakit-scan.jsonl", base)) == 1


def test_a_twin_of_a_file_in_work_is_not_reached_where_a_scan_is_stopped(
    way: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = way.tmp / "in"
    base.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (base / name).write_bytes(b"the same")

    class Stopped:
        """The second file is said to be a twin, then Ctrl-C comes before the first is judged."""

        def __enter__(self) -> "Stopped":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def give(self, number: int, _order: dict[str, Any]) -> None:
            self.last = number

        def events(self, *, until: int = 0) -> Any:
            if until == 0:
                yield self.last, {"done": {"key": "k", "sha256": "k"}}
                raise KeyboardInterrupt

    monkeypatch.setattr(runs, "local_engine", lambda *_args, **_more: Stopped())
    out = way.tmp / "report"
    with pytest.raises(KeyboardInterrupt):
        scan(Order(str(base), out, jobs=2, settings=way.settings))
    counts = json.loads((out / "sorakit-scan.json").read_text())["counts"]
    assert counts == {"judged": 0, "resumed": 0, "duplicate": 0, "failed": 0, "stopped": 2}


def test_a_name_with_a_foreign_line_end_stops_no_queue(tmp_path: Path) -> None:
    said = Verdict(Decision.UNCERTAIN, Evidence("a\u2028b.mp4", "0" * 64), ["why"], "default@1", 0).to_json()
    (tmp_path / "scan.jsonl").write_text(json.dumps(said, ensure_ascii=False) + "\n", encoding="utf-8")
    (item,) = ReviewQueue(tmp_path / "scan.jsonl", tmp_path).items
    assert item.evidence.file == "a\u2028b.mp4"


def test_a_name_that_is_no_utf8_is_printed_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    name, printed = b"x\xff.mp4".decode("utf-8", "surrogateescape"), io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(printed, encoding="utf-8"))
    print_json({"file": name})
    assert json.loads(printed.getvalue()) == {"file": name}
