"""No private data in any mark: every field of published files is read, manifest and container."""

import json
import socket
from dataclasses import replace

import av
import cv2
import numpy as np
import pytest
from c2pa import Reader

from sorakit.provenance.context import safe_context
from sorakit.provenance.sidecar import read_sidecar
from sorakit.types import Generation, Ingredient

WORD = "wombatholiday"


def fields(value, where=""):
    """(path, text) of every text and number in JSON, names of fields too."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield where, key
            yield from fields(inner, f"{where}.{key}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from fields(inner, f"{where}[{i}]")
    else:
        yield where, str(value)


def told_by(path):
    """All that a reader of the file is told: the credential's every field, and the container's tags."""
    beside = read_sidecar(path)
    mime = {".mkv": "video/x-matroska", ".webm": "video/webm"}.get(path.suffix, "video/mp4")
    with (
        safe_context() as context,
        path.open("rb") as stream,
        Reader(mime, stream, manifest_data=beside, context=context) as reader,
    ):
        reports = [json.loads(text) for text in (reader.json(), reader.detailed_json(), reader.crjson())]
    with av.open(str(path)) as box:
        tags = {"container": dict(box.metadata)} | {str(s.index): dict(s.metadata) for s in box.streams}
    return [*fields(reports, "credential"), *fields(tags, "tags")]


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.mkv"])
@pytest.mark.parametrize("kind", ["clip", "file"])
def test_no_field_tells_of_the_user_or_the_machine(way, monkeypatch, name, kind):
    for variable in ("USER", "LOGNAME", "USERNAME", "HOSTNAME", "HOME"):
        monkeypatch.setenv(variable, f"/home/{WORD}user")
    picture = way.tmp / f"{WORD}.png"
    cv2.imwrite(str(picture), np.full((64, 64, 3), 90, np.uint8))
    prompt = f"a {WORD} by the sea"
    about = Generation("m", "1", prompt=prompt, seed=3, parameters={"negative_prompt": f"no {WORD}"})
    source = way.file(seconds=1, name=f"{WORD}.mp4")
    if kind == "clip":
        source = replace(way.clip(seconds=1), generation=about, ingredients=(Ingredient(picture),))
        done = way.publish(source, name, labels="eu,cn,ca")
    else:
        done = way.publish(source, name, generation=about, ingredients=[Ingredient(picture)])
    told = told_by(done.path)
    assert len(told) > 100
    forbidden = [WORD, str(way.tmp), way.tmp.name, "pytest-"]
    if len(socket.gethostname()) > 4:
        forbidden.append(socket.gethostname())
    for where, text in told:
        for word in forbidden:
            assert word not in text, (where, text[:200])
    titles = {text for where, text in told if where.endswith(".title")}
    assert titles <= {name, "source file", "source video"}
    for path in way.out.iterdir():
        assert WORD.encode() not in path.read_bytes()
