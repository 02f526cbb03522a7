import pytest
import torch

from sorakit.errors import UsageError
from sorakit.model.dit import VideoDiT, forward_flops
from sorakit.model.keep import KeepGate, nearest_given

SMALL = {"width": 32, "depth": 1, "heads": 2, "text_width": 8, "given_frames": True}


def run(model: VideoDiT, clip: torch.Tensor, given: torch.Tensor | None) -> torch.Tensor:
    B = len(clip)
    with torch.no_grad():
        return model(clip, torch.full((B,), 500.0), torch.zeros(B, 2, 8), torch.ones(B, 8), given)


def test_the_nearest_given_frame_in_each_place() -> None:
    clip = torch.arange(12.0).view(2, 1, 6, 1, 1)
    given = torch.tensor([[0, 0, 1, 0, 0, 1], [1, 0, 0, 0, 0, 0]])
    assert nearest_given(clip, given).flatten(1).tolist() == [[2, 2, 2, 2, 5, 5], [6] * 6]


def test_an_open_gate_keeps_and_a_closed_one_draws() -> None:
    torch.manual_seed(0)
    model, plain = VideoDiT(**SMALL, keep_given=True), VideoDiT(**SMALL)
    clip = torch.randn(3, 3, 8, 16, 24)
    given = torch.zeros(3, 8)
    given[0, 2], given[1, 0] = 1, 1  # the third clip has nothing to keep
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("keep.")})
    drawn = run(plain, clip, given)
    torch.nn.init.constant_(model.keep.gate.bias, -100.0)
    assert torch.equal(run(model, clip, given), drawn)
    torch.nn.init.constant_(model.keep.gate.bias, 100.0)
    out = run(model, clip, given)
    assert torch.equal(out[0], clip[0, :, 2:3].expand_as(out[0]))
    assert torch.equal(out[1], clip[1, :, :1].expand_as(out[1]))
    assert torch.equal(out[2], drawn[2])
    assert torch.equal(run(model, clip, None), run(plain, clip, None))


def test_the_gate_works_pixel_by_pixel() -> None:
    """Pixel p of a patch in all channels alike: its place in the gate is its place in the picture."""
    model = VideoDiT(**SMALL, keep_given=True)
    clip, given = torch.randn(1, 3, 8, 16, 24), torch.tensor([[1.0] + [0.0] * 7])
    torch.nn.init.constant_(model.keep.gate.bias, -100.0)
    drawn = run(model, clip, given)
    with torch.no_grad():
        model.keep.gate.bias[1 * 64 + 2 * 8 + 5] = 100.0  # frame 1, row 2, column 5 of each 4 × 8 × 8 patch
    moved = (run(model, clip, given) != drawn).nonzero()
    assert {(t % 4, y % 8, x % 8) for _, _, t, y, x in moved.tolist()} == {(1, 2, 5)}
    assert {c for _, c, *_ in moved.tolist()} == {0, 1, 2}


def test_it_needs_given_frames_and_a_clean_prediction() -> None:
    for wrong in ({"given_frames": False}, {"prediction": "v"}):
        with pytest.raises(UsageError, match="keep_given"):
            VideoDiT(**SMALL | wrong, keep_given=True)


def test_its_cost_is_counted() -> None:
    with_gate, without = VideoDiT(**SMALL, keep_given=True), VideoDiT(**SMALL)
    size = (8, 16, 24)
    assert forward_flops(with_gate, *size) - forward_flops(without, *size) == 2 * 12 * 32 * 256


def test_the_gate_fits_what_autocast_draws() -> None:
    """On CUDA autocast norms tokens in float32 and draws in bfloat16: so it is when several GPUs train."""
    gate, y = KeepGate(8, (1, 1, 2)), torch.randn(2, 5, 8)
    drawn, kept = torch.randn(2, 5, 6).bfloat16(), torch.randn(2, 5, 6)
    with torch.autocast("cpu", torch.bfloat16):
        out = gate(y, drawn, kept, torch.tensor([True, False])[:, None, None])
    assert out.dtype == torch.bfloat16
    assert torch.equal(out[1], drawn[1])
    assert not torch.equal(out[0], drawn[0])
