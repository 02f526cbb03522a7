"""The benchmark of marks: rows, resumption, sums, clips, plugins, picture, and the command itself."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sorakit.cli import main
from sorakit.errors import InputError, ModelError, UsageError
from sorakit.robustness import heatmap
from sorakit.robustness.bench import Bench, run
from sorakit.robustness.clips import collect, half_of, pick
from sorakit.robustness.engine import ROWS, UNMARKED, Plan, load_rows, measure
from sorakit.robustness.results import Cell, Results, add_up
from sorakit.robustness.schemes import SchemeSpec, open_scheme
from sorakit.robustness.suite import SECURITY, TABLE, choose
from sorakit.robustness.work import payload_of
from sorakit.video.read import read_luma

OURS = SchemeSpec("sorakit", "sorakit")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, clip_factory: Callable, file_factory: Callable) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for seed in (1, 2):
        file_factory(folder / f"{seed}.mp4", clip_factory(1.0, (320, 256), 12, seed=seed))
    return folder


def test_a_stopped_run_goes_on_and_does_nothing_twice(clips: Path, tmp_path: Path) -> None:
    found = tuple(sorted(clips.glob("*.mp4")))
    plan = Plan(tmp_path, found, ("untouched", "mirror"), (OURS,), psnr=40)
    rows = measure(plan)
    first = [next(rows) for _ in range(5)]  # two clips marked and two plain ones, then one attack
    rows.close()
    assert [r["kind"] for r in first] == ["mark"] * 4 + ["attack"]
    with (tmp_path / ROWS).open("a") as log:
        log.write('{"kind": "attack", "att')  # what a kill leaves
    every = list(measure(plan))
    assert [r for r in every if r in first] == first
    _, logged = load_rows(tmp_path)
    keys = [(r["kind"], r.get("attack"), r["scheme"], r["clip"]) for r in logged]
    assert len(keys) == len(set(keys)) == 4 + 2 * 2 + 2
    assert all(r["exact"] for r in every if r["kind"] == "attack" and r["scheme"] == "sorakit")
    assert not any(r["found"] for r in every if r["scheme"] == UNMARKED.name and r["kind"] == "attack")
    with pytest.raises(UsageError, match="rows of other settings"):
        list(measure(Plan(tmp_path, found, ("untouched",), (OURS,), psnr=41)))


def test_a_run_that_goes_on_with_other_clips_takes_each_ones_own_copy(clips: Path, tmp_path: Path) -> None:
    found = tuple(sorted(clips.glob("*.mp4")))
    list(measure(Plan(tmp_path, found, (), (OURS,), psnr=40)))
    rows = list(measure(Plan(tmp_path, found[1:], ("untouched",), (OURS,), psnr=40)))
    assert [r["exact"] for r in rows if r["kind"] == "attack" and r["scheme"] == "sorakit"] == [True]


def test_marks_have_the_quality_that_was_asked_for(clips: Path, tmp_path: Path) -> None:
    plan = Plan(tmp_path, (clips / "1.mp4",), (), (OURS,), psnr=42, short_side=200)
    (row,) = (r for r in measure(plan) if r["scheme"] == "sorakit")
    assert 41.5 < row["psnr_luma"] < 44.5
    assert row["psnr_luma"] - row["psnr_rgb"] == pytest.approx(1.32, abs=0.4)
    assert 0.95 < row["ssim"] < 1
    (copy,) = (tmp_path / "work" / "sorakit").iterdir()
    _, luma = next(read_luma(copy))
    assert luma.shape == (200, 250)


def test_a_bad_clip_is_a_row_and_not_the_end(clips: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    plan = Plan(tmp_path / "out", (bad, clips / "1.mp4"), ("mirror",), (OURS,), psnr=40)
    rows = list(measure(plan))
    assert sum("NotAVideoError" in str(r["error"]) for r in rows) == 2
    assert [r["exact"] for r in rows if r["kind"] == "attack"] == [True]


def _row(attack: str, scheme: str, clip: str, exact: bool) -> dict[str, Any]:
    bits = 1.0 if exact else 0.5
    return {"kind": "attack", "attack": attack, "scheme": scheme, "clip": clip, "exact": exact,
            "found": exact, "bits": bits, "log10_p": None, "error": None, "cpu": 0.5}  # fmt: skip


def test_sums_and_intervals() -> None:
    rows = [_row("mirror", "a", str(i), i < 8) for i in range(10)]
    rows += [_row("wrong_key", "a", "0", False), _row("untouched", UNMARKED.name, "0", False)]
    results = add_up(rows, ["mirror", "wrong_key", "blur"], ["a", "b"])
    cell = results.cells["mirror", "a"]
    assert (cell.exact, cell.n, cell.bits) == (8, 10, 0.9)
    assert cell.interval == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert results.attacks == ("mirror", "wrong_key")
    assert results.schemes == ("a",)
    assert results.mean("a") == 0.8  # a forgery is no attack that a mark should survive
    assert results.false_found == (0, 1)
    assert [r["share"] for r in results.table()] == [0.8, 0.0]


def test_attacks_are_chosen_by_group_and_name() -> None:
    assert len(TABLE) == len(set(TABLE)) == 40
    assert choose(["table"]) == TABLE
    assert choose(["mirror", "security"]) == ("mirror", *SECURITY)
    assert set(choose(["all"])) > set(TABLE)
    assert choose(["model"]) == ("autoencoder", "regenerate")
    with pytest.raises(UsageError, match="got 'melt'"):
        choose(["melt"])


def test_clips_come_from_a_manifest_a_folder_or_are_made(clips: Path, tmp_path: Path) -> None:
    assert collect(clips, 5, 0, "dev", tmp_path) == sorted(clips.glob("*.mp4"))
    head = ["path", "generator_or_source", "width", "height", "duration"]
    lines = [head] + [[f"{i}.mp4", f"source{i % 7}", 640, 360, 2 + i % 4] for i in range(40)]
    lines += [["small.mp4", "source1", 100, 100, 4], ["long.mp4", "source1", 640, 360, 40]]
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    halves = {s: pick(tmp_path, s, 100, 0) for s in ("dev", "held-out")}
    assert sum(map(len, halves.values())) == 40
    for split, paths in halves.items():
        assert {half_of(f"source{int(p.stem) % 7}") for p in paths} <= {split}
    few = pick(tmp_path, "dev", 5, 1)
    assert all(2 + int(p.stem) % 4 >= 3 for p in few)
    assert few == pick(tmp_path, "dev", 5, 1)
    with pytest.raises(InputError, match="manifest"):
        pick(tmp_path / "nowhere", "dev", 1, 0)
    with pytest.raises(UsageError, match="no clips"):
        collect(tmp_path / "nowhere", 1, 0, "dev", tmp_path)


def test_payloads_differ_by_clip_and_fit_their_bits() -> None:
    drawn = {payload_of(0, f"{i}.mp4", 32) for i in range(50)}
    assert len(drawn) == 50
    assert max(drawn) < 1 << 32
    assert payload_of(0, "a/x.mp4", 60) == payload_of(0, "b/x.mp4", 60) != payload_of(1, "b/x.mp4", 60)


def test_the_heat_map_is_deep_where_the_share_is_high(tmp_path: Path) -> None:
    cells = {("h264_crf28", "good"): Cell(10, 10, 10, 1.0, 0), ("h264_crf28", "bad"): Cell(0, 0, 10, 0.5, 0)}
    results = Results(("h264_crf28",), ("good", "bad"), cells, {}, (0, 0), 10, 1.0)
    sheet = heatmap.draw(results, "title", "note")
    path = heatmap.write(sheet, tmp_path / "map.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    picture = np.asarray(sheet).astype(int)
    line = picture[heatmap._HEAD + 8]
    good, bad = (line[heatmap._PAD + heatmap._LABEL + c * heatmap._CELL + 30] for c in (0, 1))
    assert good.sum() < bad.sum() - 200
    assert heatmap._name("av1_crf35") == "AV1 CRF 35"


def test_videoseal_and_trustmark_say_what_is_missing(tmp_path: Path) -> None:
    for name in ("videoseal", "trustmark"):
        with pytest.raises(ModelError, match=f"{name} needs weights that you have"):
            open_scheme(SchemeSpec(name, name, None, str(tmp_path / "nothing")))
    with pytest.raises(UsageError, match="unknown plugin 'x'; known are trustmark, videoseal"):
        open_scheme(SchemeSpec("x", "x"))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_model_marks_and_reads(clips: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Tiny(torch.nn.Module):  # type: ignore[misc]
        """Bit k is the brightness of the k-th of four columns' upper half, against its lower half."""

        @torch.jit.export
        def embed(self, imgs: torch.Tensor, msgs: torch.Tensor) -> torch.Tensor:
            wave = (msgs[0] * 2 - 1).repeat_interleave(imgs.shape[3] // 4 + 1)[: imgs.shape[3]]
            sign = torch.ones(imgs.shape[2])
            sign[imgs.shape[2] // 2 :] = -1
            return imgs + 0.05 * sign[:, None] * wave[None, :]

        @torch.jit.export
        def detect(self, imgs: torch.Tensor) -> torch.Tensor:
            step, half = imgs.shape[3] // 4 + 1, imgs.shape[2] // 2
            parts = [torch.zeros(imgs.shape[0])]
            for k in range(4):
                column = imgs[:, :, :, k * step : (k + 1) * step]
                parts.append(
                    column[:, :, :half].mean(dim=[1, 2, 3]) - column[:, :, half:].mean(dim=[1, 2, 3])
                )
            return torch.stack(parts, 1)

        def forward(self, imgs: torch.Tensor, msgs: torch.Tensor) -> torch.Tensor:
            return self.detect(self.embed(imgs, msgs))

    weights = tmp_path / "tiny.jit"
    torch.jit.script(Tiny()).save(str(weights))
    scheme = open_scheme(SchemeSpec("videoseal", "videoseal", 3, str(weights)))
    assert scheme.bits == 4
    flat = np.full((64, 80, 3), 128, np.uint8)
    state = scheme.tune(flat, 0b1010, 38.0)
    (frame,) = scheme.mark(iter([flat]), 0b1010, state)
    change = frame.to_ndarray(format="rgb24").astype(float) - 128
    assert 10 * np.log10(255**2 / np.mean(change**2)) == pytest.approx(38 - 1.32, abs=0.6)
    _reads_back(scheme, flat, state, tmp_path / "marked.mp4")


def _reads_back(scheme: Any, picture: np.ndarray, state: dict[str, float], path: Path) -> None:
    from fractions import Fraction  # noqa: PLC0415

    from sorakit.watermark.attacks import Job  # noqa: PLC0415
    from sorakit.watermark.attacks.stream import Stream, encode  # noqa: PLC0415

    for payload in (0b1010, 0b0111):
        frames = scheme.mark(iter([picture] * 3), payload, state)
        encode(Stream(frames, Fraction(3)), Job("test", path, path), 18)
        assert scheme.read(path, state).payload == payload


def test_an_onnx_pair_marks_and_reads(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    _write_pair(onnx, tmp_path)
    scheme = open_scheme(SchemeSpec("trustmark", "trustmark", 3, str(tmp_path)))
    assert scheme.bits == 4
    flat = np.full((96, 128, 3), 110, np.uint8)
    _reads_back(scheme, flat, scheme.tune(flat, 0b1010, 40.0), tmp_path / "marked.mp4")
    (tmp_path / "decoder.onnx").write_bytes(b"broken")
    open_scheme.cache_clear()
    with pytest.raises(ModelError, match=r"decoder\.onnx does not load as ONNX"):
        open_scheme(SchemeSpec("trustmark", "trustmark", 3, str(tmp_path)))


def _write_pair(onnx: Any, folder: Path, side: int = 32, bits: int = 4) -> None:
    """Patterns of ± 0.1 that are orthogonal to each other and to a flat picture, added and correlated."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    rows = np.sign(np.sin(np.arange(side) * 2 * np.pi / side * np.array([[1], [2], [4], [8]]) + 0.01))
    pattern = (0.1 * np.repeat(rows[:, None, :, None], side, 3) * np.ones((1, 3, 1, 1))).astype(np.float32)
    flat = pattern.reshape(bits, -1)
    picture = helper.make_tensor_value_info("picture", kind, [1, 3, side, side])
    secret = helper.make_tensor_value_info("secret", kind, [1, bits])
    for name, nodes, inputs, values, shape in (
        (
            "encoder",
            [
                helper.make_node("Mul", ["secret", "two"], ["double"]),
                helper.make_node("Sub", ["double", "one"], ["sign"]),
                helper.make_node("MatMul", ["sign", "pattern"], ["long"]),
                helper.make_node("Reshape", ["long", "shape"], ["change"]),
                helper.make_node("Add", ["picture", "change"], ["out"]),
            ],
            [picture, secret],
            {"two": np.float32([2]), "one": np.float32([1]), "pattern": flat,
             "shape": np.int64([1, 3, side, side])},
            [1, 3, side, side],
        ),
        (
            "decoder",
            [
                helper.make_node("Reshape", ["picture", "shape"], ["long"]),
                helper.make_node("MatMul", ["long", "pattern"], ["out"]),
            ],
            [picture],
            {"pattern": np.ascontiguousarray(flat.T), "shape": np.int64([1, 3 * side * side])},
            [1, bits],
        ),
    ):  # fmt: skip
        held = [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in values.items()]
        out = helper.make_tensor_value_info("out", kind, shape)
        graph = helper.make_graph(nodes, name, inputs, [out], held)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, folder / f"{name}.onnx")


def test_one_run_writes_table_csv_and_picture(clips: Path, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "out", clips, n=1, attacks=("untouched", "wrong_key"), psnr=41)
    results, files = run(bench)
    assert [f.name for f in files] == ["table.csv", "clips.csv", "heatmap.png"]
    assert results.cells["untouched", "sorakit"].exact == 1
    assert results.cells["wrong_key", "sorakit"].found == 0
    with files[0].open(newline="") as file:
        assert [r["attack"] for r in csv.DictReader(file)] == ["untouched", "wrong_key"]


def test_the_command_prints_one_object(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "bench",
        "watermark",
        "-o",
        tmp_path,
        "--clips",
        clips,
        "--n",
        1,
        "--attacks",
        "mirror",
        "--json",
    ]
    monkeypatch.setattr("sys.argv", ["sorakit", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["n"], answer["attacks"][0]["attack"]) == (1, "mirror")
    monkeypatch.setattr("sys.argv", ["sorakit", "bench", "watermark", "--plugin", "videoseal"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
