"""The review queue: the same by button and by call, and no decision without a reason."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sorakit.errors import InputError, OutputError, UsageError
from sorakit.moderation.queue import verdict_of
from sorakit.nb import ReviewQueue
from sorakit.types import Decision, DetectorEvidence, Evidence, ProvenanceEvidence, Verdict


def row(file: str, decision: Decision, action: str = "none", review: str | None = None, **seen: Any) -> Any:
    evidence = Evidence(file, f"{file}-sha", **seen)
    said = Verdict(decision, evidence, [f"because of {file}"], "platform@1", 1, action, review)
    return said.to_json() | {"size": 1, "state": "judged", "duplicate_of": None}


@pytest.fixture
def folder(tmp_path: Path, file_factory: Any, clip_factory: Any) -> Path:
    """Two videos that play and one that does not."""
    for name in ("broken.mp4", "calm.mp4", "doubt.mp4"):
        file_factory(tmp_path / name, clip_factory(1.0, (128, 96), 12))
    (tmp_path / "bad.mp4").write_text("no video")
    return tmp_path


@pytest.fixture
def rows() -> list[Any]:
    said = DetectorEvidence(0.91, "likely_ai", "d@1", reasons=["odd <i>motion</i>"], prior=0.5)
    broken = ProvenanceEvidence("tampered", "<b>evil</b>", problems=["changed"])
    return [
        row("bad.mp4", Decision.ERROR, error="no video"),
        row("calm.mp4", Decision.NO_EVIDENCE),
        row("doubt.mp4", Decision.LIKELY_AI, review="moderators", detector=said),
        row("broken.mp4", Decision.TAMPERED, "hold", "safety", provenance=broken),
        row("twin.mp4", Decision.TAMPERED, "hold", "safety") | {"duplicate_of": "broken.mp4"},
    ]


def test_it_takes_what_a_person_should_see_and_the_held_ones_first(rows: list[Any], folder: Path) -> None:
    queue = ReviewQueue(rows, folder)
    assert [v.evidence.file for v in queue.items] == ["broken.mp4", "doubt.mp4"]
    every = ReviewQueue(rows, folder, everything=True)
    assert [v.evidence.file for v in every.items] == ["broken.mp4", "bad.mp4", "calm.mp4", "doubt.mp4"]
    assert "queue.decide(i, ACTION, REASON)" in repr(queue)


def test_it_keeps_every_decision_and_exports_them(rows: list[Any], folder: Path) -> None:
    queue = ReviewQueue(rows, folder)
    assert queue.open == [0, 1]
    queue.decide(1, "label", "the  maker\n confirmed it")
    queue.decide(1, "approve", "wrong clip, sorry")
    assert queue.open == [0]
    assert [d.reason for d in queue.decisions] == ["the maker confirmed it", "wrong clip, sorry"]
    kept = queue.decided(1)
    assert kept is not None
    assert (kept.action, kept.sha256, kept.decision) == ("approve", "doubt.mp4-sha", "likely_ai")
    out = queue.export(folder / "reviews.jsonl")
    assert [json.loads(line)["action"] for line in out.read_text().splitlines()] == ["label", "approve"]
    with pytest.raises(OutputError, match="cannot write"):
        queue.export(folder / "no" / "such" / "folder.jsonl")


def test_it_refuses_decisions_without_a_reason(rows: list[Any], folder: Path) -> None:
    queue = ReviewQueue(rows, folder)
    for reason in ("", "  ", "x", "y" * 501):
        with pytest.raises(UsageError, match="`reason`"):
            queue.decide(0, "reject", reason)
    with pytest.raises(UsageError, match="approve, label, reject, got 'delete'"):
        queue.decide(0, "delete", "because")
    for i in (-1, 2):
        with pytest.raises(UsageError, match="0 to 1"):
            queue.decide(i, "reject", "because")
    assert queue.decisions == []


def test_it_shows_stills_evidence_and_what_the_policy_wants(rows: list[Any], folder: Path) -> None:
    queue = ReviewQueue(rows, folder, everything=True)
    html = queue.look(0).html
    assert "data:image/jpeg;base64," in html
    assert "1 of 4" in html
    for words in ("Tampered", "does not fit the file", "platform@1", "not shown until somebody has looked"):
        assert words in html
    assert "<b>evil" not in html
    assert "&lt;b&gt;evil" in html
    detector = queue.look(3).html
    assert "likely ai, score 0.91 if 50% of clips are generated" in detector
    assert "<i>" not in detector
    assert "No picture: " in queue.look(1).html
    assert "because of calm.mp4" in str(queue.look(2))


def test_it_reads_nothing_outside_of_the_folder(rows: list[Any], folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    queue = ReviewQueue([row("../calm.mp4", Decision.TAMPERED)], inner)
    assert "leads out of the scanned folder" in queue.look(0).html
    assert "data:image" not in queue.look(0).html


def test_the_widget_does_the_same(rows: list[Any], folder: Path) -> None:
    pytest.importorskip("ipywidgets")
    queue = ReviewQueue(rows, folder)
    uploads, steps, shown, reason, acts, said = queue.widget().children
    before, after = steps.children
    approve, label, reject = acts.children
    assert "broken.mp4" in shown.value
    uploads.value = 1
    assert "doubt.mp4" in shown.value
    assert queue.place == 1
    after.click()
    assert queue.place == 0
    before.click()
    assert (queue.place, uploads.value) == (1, 1)
    label.click()
    assert 'role="alert"' in said.value
    assert queue.decisions == []
    reason.value = "the maker <b>said so</b>"
    label.click()
    assert queue.decisions[0].action == "label"
    assert (queue.place, reason.value) == (0, "")  # on to what is open
    assert "1 still open" in said.value
    assert uploads.options[1][0] == "✓ label: doubt.mp4 (Likely AI)"
    reason.value = "credential does not fit"
    reject.click()
    assert "all decided" in said.value
    assert "<strong>Decided: reject" in shown.value
    reason.value = "again"
    approve.click()
    assert [d.action for d in queue.decisions] == ["label", "reject", "approve"]
    queue.decide(1, "reject", "by call, and the list shows it")
    assert uploads.options[1][0] == "✓ reject: doubt.mp4 (Likely AI)"


def test_an_empty_queue_says_so(folder: Path) -> None:
    pytest.importorskip("ipywidgets")
    assert "Nothing waits" in ReviewQueue([row("a.mp4", Decision.AI_DECLARED)], folder).widget().value


def test_it_reads_the_lines_of_a_scan(rows: list[Any], folder: Path) -> None:
    path = folder / "scan.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert len(ReviewQueue(path, folder)) == 2
    for text in ("[]\n", "{", "{}\n", '{"decision": "great"}\n'):
        path.write_text(text)
        with pytest.raises(InputError):
            ReviewQueue(path, folder)
    with pytest.raises(InputError, match="cannot read"):
        ReviewQueue(folder / "none.jsonl", folder)


def test_without_widgets_it_says_what_to_call(
    rows: list[Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    display = pytest.importorskip("IPython.display")
    shown: list[object] = []
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr(display, "display", shown.append)
    ReviewQueue(rows, folder)._ipython_display_()
    assert "queue.decide" in str(shown[0])


def test_a_verdict_comes_back_from_its_line(rows: list[Any]) -> None:
    for said in rows:
        again = verdict_of(said).to_json()
        assert again == {k: said[k] for k in again}
