"""Work through what a scan left for people: look, decide, say why; decisions are kept and exported.

In: the lines of `sorakit scan` (`sorakit-scan.jsonl`, or rows already parsed) and the scanned folder. Out: a
`ReviewQueue`, which a notebook shows as a list, stills, evidence in words and three buttons, a terminal as
text. The files are foreign, so their stills are read in a guarded child, and only from below the folder.
"""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from sorakit.config import Settings
from sorakit.errors import InputError, OutputError, SorakitError, UsageError
from sorakit.moderation.policy import ACTIONS
from sorakit.moderation.queue import needs_person, verdict_of
from sorakit.nb.card import CredentialCard, environment
from sorakit.nb.shown import Shown
from sorakit.nb.view import View
from sorakit.nb.words import BADGES, detector_words
from sorakit.types import Verdict
from sorakit.video.guard import prescan, run_guarded

__all__ = ["CHOICES", "Review", "ReviewQueue"]

CHOICES = {"approve": "shown as it is", "label": "shown with a label that says AI", "reject": "not taken"}
"""What a reviewer can decide."""

_STILLS, _HEIGHT = 4, 112
_MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class Review:
    """One decision of a person. `decision`: what the check had said; `time`: UTC, ISO 8601."""

    file: str
    sha256: str | None
    decision: str
    policy: str
    action: str
    reason: str
    time: str


class ReviewQueue(Shown):
    """A queue of uploads for a person; without a widget: `queue.look(i)`, `queue.decide(i, action, reason)`.

    `decisions`: every decision in the order they were taken; a change of mind adds one. `place`: the upload
    that the widget shows.

    >>> queue = ReviewQueue("scan/sorakit-scan.jsonl", "uploads")  # doctest: +SKIP
    >>> queue.decide(0, "reject", "credential broken, sender does not answer").action  # doctest: +SKIP
    'reject'
    """

    def __init__(
        self,
        rows: Path | str | Iterable[Mapping[str, Any]],
        folder: Path | str,
        *,
        everything: bool = False,
        settings: Settings | None = None,
    ) -> None:
        """`everything`: also what no person needs to see. What the policy holds back comes first.

        The same bytes are looked at once. Raises `InputError` for lines that no scan wrote.
        """
        lines = _read(Path(rows)) if isinstance(rows, Path | str) else rows
        found = [verdict_of(row) for row in lines if not row.get("duplicate_of")]
        mine = [v for v in found if everything or v.action == "hold" or needs_person(v.decision, v.review)]
        self.items: tuple[Verdict, ...] = tuple(sorted(mine, key=lambda v: v.action != "hold"))
        self.folder = Path(folder)
        self.decisions: list[Review] = []
        self.place = 0
        self._settings = settings or Settings()
        self._pictures: dict[int, tuple[str | None, str]] = {}
        self._watchers: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self.items)

    def decided(self, i: int) -> Review | None:
        """The latest decision on upload `i`, or None."""
        v = self._item(i)
        own = [d for d in self.decisions if (d.file, d.sha256) == (v.evidence.file, v.evidence.sha256)]
        return own[-1] if own else None

    @property
    def open(self) -> list[int]:
        """The uploads that nobody has decided on yet."""
        return [i for i in range(len(self)) if self.decided(i) is None]

    def decide(self, i: int, action: str, reason: str) -> Review:
        """Decide on upload `i`. Raises `UsageError` for another action, and without a reason."""
        v = self._item(i)
        if action not in CHOICES:
            raise UsageError(f"`action` must be one of {', '.join(CHOICES)}, got {action!r}")
        said = " ".join(reason.split())
        if not 3 <= len(said) <= _MAX_REASON:
            raise UsageError(
                f"`reason` must have 3 to {_MAX_REASON} characters, got {len(said)}; say what you saw, "
                "so that the uploader can be told and you can defend it later"
            )
        now = datetime.now(UTC).isoformat(timespec="seconds")
        e = v.evidence
        done = Review(e.file, e.sha256, str(v.decision), v.policy, action, said, now)
        self.decisions.append(done)
        for tell in self._watchers:
            tell()
        return done

    def export(self, path: Path | str) -> Path:
        """Write the decisions as JSONL, one a line. Raises `OutputError`."""
        out = Path(path)
        lines = [json.dumps(asdict(d), ensure_ascii=False) + "\n" for d in self.decisions]
        try:
            out.write_text("".join(lines), encoding="utf-8")
        except OSError as e:
            raise OutputError(f"cannot write {out}: {e.strerror or e}") from e
        return out

    def look(self, i: int | None = None) -> View:
        """Upload `i`, by default the present one: stills, evidence in words, what the policy wants."""
        i = self.place if i is None else i
        v = self._item(i)
        picture, missing = self._picture(i)
        card = CredentialCard(v)
        html = (
            environment()
            .get_template("review.html.j2")
            .render(
                file=v.evidence.file,
                place=f"{i + 1} of {len(self)}",
                picture=picture,
                no_picture=missing,
                card=Markup(card._repr_html_()),  # noqa: S704 - an autoescaping template made it
                policy=v.policy,
                wants=ACTIONS.get(v.action, v.action),  # type: ignore[call-overload]
                review=v.review,
                detector=detector_words(v),
                decided=self.decided(i),
            )
        )
        return View(html, f"{i + 1} of {len(self)}: {v.evidence.file}\n{card}")

    def __repr__(self) -> str:
        head = f"ReviewQueue of {len(self)} uploads, {len(self.open)} open: queue.look(i), queue.decide(i, "
        return head + f"ACTION, REASON) with ACTION one of {', '.join(CHOICES)}, queue.export(PATH)"

    def widget(self) -> Any:
        """A list of uploads, the chosen one, a line for the reason and a button for each action.

        All are native controls: arrow keys move through the list, Tab goes on to the reason and the buttons.
        """
        import ipywidgets  # noqa: PLC0415 - an extra; the calls work without it

        if not self.items:
            return ipywidgets.HTML("<p>Nothing waits for a person.</p>")
        rows = ipywidgets.Select(description="Uploads", rows=min(8, max(2, len(self))))
        rows.layout.width = "min(100%, 32rem)"
        shown, said = ipywidgets.HTML(), ipywidgets.HTML()
        before, after = (ipywidgets.Button(description=d) for d in ("◀ Previous", "Next ▶"))
        reason = ipywidgets.Text(description="Reason", placeholder="what you saw, in a few words")
        reason.layout.width = "min(100%, 32rem)"
        buttons = [ipywidgets.Button(description=a.title(), tooltip=CHOICES[a]) for a in CHOICES]

        def turn(place: int) -> None:
            self.place = place % len(self)
            rows.unobserve_all("value")  # new options choose the first one for a moment
            rows.options = [(self._line(i), i) for i in range(len(self))]
            rows.value = self.place
            rows.observe(chosen, "value")
            shown.value = self.look().html

        def chosen(change: Any) -> None:
            if change["new"] is not None and change["new"] != self.place:
                turn(change["new"])

        def decide(action: str) -> None:
            try:
                done = self.decide(self.place, action, reason.value)
            except SorakitError as e:  # shown where the reader looks; a traceback would go to the log
                said.value = f'<p role="alert">{escape(str(e))}</p>'
                return
            left, reason.value = self.open, ""
            rest = f"{len(left)} still open" if left else "all decided; queue.export(PATH) writes them down"
            turn(next((i for i in [*range(self.place, len(self)), *left] if i in left), self.place))
            said.value = f'<p role="status">{escape(done.file)}: {done.action}. {rest}.</p>'

        turn(self.place)
        self._watchers.append(lambda: turn(self.place))
        before.on_click(lambda _: turn(self.place - 1))
        after.on_click(lambda _: turn(self.place + 1))
        for button, action in zip(buttons, CHOICES, strict=True):
            button.on_click(lambda _, action=action: decide(action))
        wrap = ipywidgets.Layout(flex_flow="row wrap")
        steps, acts = (ipywidgets.HBox(x, layout=wrap) for x in ([before, after], buttons))
        return ipywidgets.VBox([rows, steps, shown, reason, acts, said])

    def _item(self, i: int) -> Verdict:
        if not 0 <= i < len(self):
            raise UsageError(f"`i` must be 0 to {len(self) - 1}, got {i}; the queue has {len(self)} uploads")
        return self.items[i]

    def _line(self, i: int) -> str:
        v, done = self.items[i], self.decided(i)
        return f"{'✓ ' + done.action if done else '· open'}: {v.evidence.file} ({BADGES[v.decision].title})"

    def _picture(self, i: int) -> tuple[str | None, str]:
        """(A strip of stills as a data URI or None, why there is none)."""
        if self._item(i).evidence.error is not None:
            return None, "the file cannot be read"
        if i not in self._pictures:
            try:
                self._pictures[i] = self._strip(self._item(i)), ""
            except SorakitError as e:
                self._pictures[i] = None, str(e)
        return self._pictures[i]

    def _strip(self, v: Verdict) -> str:
        path = (self.folder / v.evidence.file).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise InputError("its name leads out of the scanned folder")
        limits = self._settings.limits
        prescan(path, limits)
        answer = run_guarded(
            "sorakit.nb.pictures:strip_task",
            {"path": str(path), "n": _STILLS, "height": _HEIGHT},
            timeout=limits.check_seconds,
            memory_bytes=limits.memory_bytes,
        )
        data = base64.b64decode(str(answer["strip"]), validate=True)
        return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")  # names may hold what `splitlines` takes for a line's end
        rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    except OSError as e:
        raise InputError(f"cannot read {path}: {e.strerror}; name the sorakit-scan.jsonl of a scan") from e
    except ValueError as e:
        raise InputError(f"{path} is no JSONL of a scan: {e}") from e
    if not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path} is no JSONL of a scan: a line holds no object")
    return rows
