"""PSNR, SSIM and LPIPS: by hand and against scikit-image."""

from __future__ import annotations

import math
import sys
import warnings
from types import ModuleType

import numpy as np
import pytest

from instructdiffusion.evaluation.metrics import EQUAL_DB, capped_psnr, psnr, ssim
from instructdiffusion.evaluation.metrics.image_metrics import load_lpips


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:60, :80]
    one = np.stack([x * 3, y * 4, 255 - x - y], 2).astype(np.uint8)
    return one, np.clip(one + rng.normal(0, 12, one.shape), 0, 255).astype(np.uint8)


def test_psnr():
    a = np.zeros((2, 2, 3), np.uint8)
    b = a.copy()
    b[0, 0] = 255
    assert capped_psnr(a, b) == pytest.approx(psnr(a, b)) == pytest.approx(10 * math.log10(4))
    left = np.array([[True, False], [True, False]])
    assert capped_psnr(a, b, left) == pytest.approx(10 * math.log10(2))
    assert capped_psnr(a, b, ~left) == capped_psnr(a, a) == EQUAL_DB
    assert math.isnan(capped_psnr(a, b, left & False))
    with pytest.raises(TypeError, match="uint8"):
        capped_psnr(a / 255, b)
    with pytest.raises(ValueError, match="cannot be compared"):
        capped_psnr(a, b[:1])


def test_psnr_is_that_of_scikit_image(pair):
    reference = pytest.importorskip("skimage.metrics").peak_signal_noise_ratio
    assert capped_psnr(*pair) == pytest.approx(reference(*pair), abs=1e-4)


def test_ssim_is_that_of_scikit_image(pair):
    reference = pytest.importorskip("skimage.metrics").structural_similarity
    wanted = reference(
        *pair, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert 0.2 < wanted < 0.95
    assert ssim(*pair) == pytest.approx(wanted, abs=1e-6)
    assert ssim(pair[0], pair[0]) == pytest.approx(1)
    with pytest.raises(ValueError, match="at least 11"):
        ssim(pair[0][:8], pair[1][:8])


def test_lpips_says_what_it_needs(monkeypatch, pair):
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(ModuleNotFoundError, match="pip install lpips"):
        load_lpips()


def test_lpips_gets_pictures_as_it_wants_them(monkeypatch, pair):
    seen = []

    class Model:
        def __init__(self, net, verbose):
            assert (net, verbose) == ("alex", False)

        def to(self, device):
            return self

        eval = lambda self: self  # noqa: E731

        def __call__(self, a, b):
            seen.append((a, b))
            return (a - b).abs().mean()

    fake = ModuleType("lpips")
    fake.LPIPS = Model
    monkeypatch.setitem(sys.modules, "lpips", fake)
    black, white = np.zeros((16, 20, 3), np.uint8), np.full((16, 20, 3), 255, np.uint8)
    assert load_lpips()(black, white) == 2
    assert tuple(seen[0][0].shape) == (1, 3, 16, 20) and float(seen[0][0].max()) == -1


def test_lpips_is_that_of_its_package(monkeypatch, pair):
    """The package itself with its own heads; the backbone is random, for its weights are a download."""
    lpips = pytest.importorskip("lpips")
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchvision's, of arguments that the package still gives
            model = lpips.LPIPS(net="alex", verbose=False, pnet_rand=True).eval()
    monkeypatch.setattr(lpips, "LPIPS", lambda net, verbose: model)
    distance = load_lpips()
    one, other = (torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255 for p in pair)
    with torch.inference_mode():
        wanted = float(model(one, other, normalize=True))  # 0..1 brought to -1..1 by the package
    assert distance(*pair) == pytest.approx(wanted, rel=1e-4) and wanted > 1e-4
    assert distance(pair[0], pair[0]) == 0
    known = distance.fingerprint
    with torch.no_grad():
        model.lin0.model[-1].weight[0] += 1
    assert load_lpips().fingerprint != known
