import numpy as np
import pytest

from sorakit.watermark.fourier import Spectrum


@pytest.mark.parametrize("shape", [(240, 427), (243, 240)])
def test_it_is_the_fourier_transform(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = rng.standard_normal(shape).astype(np.float32)
    frequency = rng.uniform(-0.3, 0.3, (40, 2))
    got, noise = Spectrum(image).at(frequency)
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    want = [np.exp(-2j * np.pi * fy * y) @ image @ np.exp(-2j * np.pi * fx * x) for fx, fy in frequency]
    scale = np.sqrt(image.size)
    np.testing.assert_allclose(got, want, atol=0.02 * scale)
    assert noise.mean() == pytest.approx(image.size, rel=0.35)


def test_a_line_stands_out_and_noise_does_not() -> None:
    rng = np.random.default_rng(1)
    x = np.arange(300)
    image = rng.standard_normal((240, 300)) + 0.2 * np.cos(2 * np.pi * 0.1 * x)
    spectrum = Spectrum(image.astype(np.float32))
    assert spectrum.prominence(np.array([0.1, 0.0])) > 3
    assert spectrum.prominence(np.array([-0.1, 0.0])) > 3
    assert spectrum.prominence(rng.uniform(0.12, 0.3, (200, 2))).mean() == pytest.approx(1, abs=0.25)
