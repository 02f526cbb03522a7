"""A mark in a sampler's initial noise: keyed signs that leave the noise exactly normal.

In: a payload, a key and a generator. Out: noise to start a diffusion sampler from; and from noise that was
found by running the sampler backwards, the payload, its proven bound and where a clip was changed. Gaussian
Shading (Yang et al. 2024, arXiv:2404.04956) with the tamper maps of VideoShield (Hu et al. 2025,
arXiv:2501.14195). The size of a normal value says nothing of its sign, so signs = code bits × coins of a
stream cipher (ChaCha20) leave each value N(0, 1) and the values independent without the key: nothing is lost.

One stream for all clips of a key would show in pairs of cells over many clips, so each clip draws one of
`LEAVES` streams; a reader tries them all. The bound is that of `gate`: for any other key the coins are fair
and independent of the noise that was found, so Chernoff's bound times 2^64 code words times `LEAVES` holds
for any weights that do not depend on the signs; with a payload known beforehand 2^64 falls away.

Cells are `(T, H, W, D)`: places in time and space, and D values each. Payload 64 bits, coded 384: n cells
read with a chance of 1/2 + δ each pass the gate of 1e-9 when 2 n δ² is above about 70 (known payload: 25).
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sorakit.errors import UsageError
from sorakit.watermark.gate import MAX_LOG10_P, log10_chernoff
from sorakit.watermark.payload import CODED_BITS, PAYLOAD_BITS, decode, encode

__all__ = ["LEAVES", "SCHEME", "LatentEvidence", "read_noise", "sign_noise"]

SCHEME = "io.github.sorakit.latent.1"
LEAVES = 64
"""Cipher streams a key has, so that clips of one key have little in common."""
_DECODED = 4
"""Leaves, by the energy of their folded bits, that are decoded."""
_LIST_SIZE = 256
_CLIP = 2.0
_MOST_CELLS = 1 << 26

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Cells = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class LatentEvidence:
    """What noise says under a key. `log10_p` bounds the chance of this under another key (0: no evidence).

    `payload`: 16 hex digits when found. `accuracy`: share of signs that fit. `places` `(T, H, W)`: agreement
    in standard deviations, 0 on average where the clip was replaced, and `frames` `(T,)` the same over whole
    frames; both empty unless found.
    """

    found: bool = False
    payload: str | None = None
    log10_p: float = 0.0
    accuracy: float = 0.5
    places: Doubles = field(default_factory=lambda: np.zeros((0, 0, 0)))
    frames: Doubles = field(default_factory=lambda: np.zeros(0))


def sign_noise(shape: Cells, payload: int, key: bytes, generator: np.random.Generator) -> Floats:
    """Normal noise `shape` (T, H, W, D) whose signs carry `payload` under `key`.

    `generator` draws the sizes and the leaf: equal arguments, equal noise. Raises `UsageError`.

    >>> noise = sign_noise((4, 4, 4, 192), 7, b"k" * 32, np.random.default_rng(1))
    >>> read_noise(noise, b"k" * 32).payload
    '0000000000000007'
    """
    _require(shape, key)
    leaf = int(generator.integers(LEAVES))
    size = np.abs(generator.standard_normal(shape, dtype=np.float32))
    coded = encode(payload)[_bits(int(np.prod(shape)))].reshape(shape)
    return np.asarray(size * coded * _coins(key, leaf, shape), dtype=np.float32)


def read_noise(
    noise: Floats, key: bytes, *, weights: Doubles | None = None, expected: int | None = None, tried: int = 1
) -> LatentEvidence:
    """What `noise` `(T, H, W, D)` carries under `key`.

    `weights` `(D,)`, not negative: how well each value of a place is known to survive; never derived from the
    key. `expected`: a payload known beforehand (from a registry, say), which needs a third of the evidence.
    `tried`: keys that this noise is read under in all, which the bound counts.
    """
    shape = noise.shape
    if len(shape) != 4:
        raise UsageError(f"`noise` must be (T, H, W, D), got {shape}; give one clip at a time")
    _require((shape[0], shape[1], shape[2], shape[3]), key)
    if not np.isfinite(noise).all():
        raise UsageError("`noise` must be finite; the inversion diverged: use float32 or more steps")
    soft = _soft(noise, np.ones(shape[3]) if weights is None else weights)
    bits = _bits(soft.size)
    turned = [soft * _coins(key, leaf, soft.shape) for leaf in range(LEAVES)]
    if expected is not None:
        coded = encode(expected)[bits]
        fits = [t.ravel() * coded for t in turned]
        best = max(fits, key=lambda f: float(f.sum()))
        return _evidence(best.reshape(shape), expected, float(np.log10(LEAVES * tried)))
    folded = [np.bincount(bits, weights=t.ravel(), minlength=CODED_BITS) for t in turned]
    union = PAYLOAD_BITS * np.log10(2) + np.log10(LEAVES * tried)
    found = LatentEvidence()
    for leaf in np.argsort([-float(np.sum(f**2)) for f in folded])[:_DECODED]:
        payload = decode(folded[leaf].astype(np.float32), list_size=_LIST_SIZE)
        if payload is not None:
            fit = (turned[leaf].ravel() * encode(payload)[bits]).reshape(shape)
            found = min(found, _evidence(fit, payload, float(union)), key=lambda e: e.log10_p)
    return found


def _evidence(fits: Doubles, payload: int, union: float) -> LatentEvidence:
    used = fits[fits != 0]
    bound = min(0.0, log10_chernoff(used) + union)
    if bound > MAX_LOG10_P:
        return LatentEvidence(log10_p=round(bound, 2))
    return LatentEvidence(
        True,
        f"{payload:016x}",
        round(bound, 2),
        float(np.mean(used > 0)),
        _over(fits, (3,)),
        _over(fits, (1, 2, 3)),
    )


def _over(fits: Doubles, axes: tuple[int, ...]) -> Doubles:
    """The sum of what fits, in its own standard deviations under fair coins."""
    return np.asarray(fits.sum(axes) / np.sqrt(np.maximum((fits**2).sum(axes), 1e-12)), dtype=np.float64)


def _soft(noise: Floats, weights: Doubles) -> Doubles:
    """Values in units of their own spread over places, clipped, weighted: one cell must not outvote many."""
    if weights.shape != noise.shape[3:] or not (weights >= 0).all() or not weights.any():
        raise UsageError(
            f"`weights` must be ({noise.shape[3]},), none negative, not all 0; got {weights.shape}"
        )
    spread = np.sqrt(np.mean(np.asarray(noise, np.float64) ** 2, axis=(0, 1, 2))) + 1e-12
    return np.asarray(np.clip(noise / spread, -_CLIP, _CLIP) * weights, dtype=np.float64)


def _bits(count: int) -> npt.NDArray[np.int64]:
    """Which coded bit each cell carries: public, spread over all places."""
    stream = hashlib.shake_256(SCHEME.encode()).digest(4 * count)
    return (np.frombuffer(stream, dtype="<u4") % CODED_BITS).astype(np.int64)


def _coins(key: bytes, leaf: int, shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """±1 a cell from ChaCha20 (RFC 8439) under a key derived by HKDF (RFC 5869)."""
    own = HKDF(algorithm=SHA256(), length=32, salt=None, info=SCHEME.encode()).derive(key)
    count = int(np.prod(shape))
    nonce = bytes(4) + leaf.to_bytes(12, "little")  # block counter 0, then the nonce
    stream = Cipher(algorithms.ChaCha20(own, nonce), mode=None).encryptor().update(bytes(-(-count // 8)))
    coins = np.unpackbits(np.frombuffer(stream, dtype=np.uint8))[:count]
    return (1 - 2 * coins.astype(np.int8)).reshape(shape)


def _require(shape: Cells, key: bytes) -> None:
    if len(shape) != 4 or min(shape) < 1 or int(np.prod(shape)) > _MOST_CELLS:
        raise UsageError(f"`shape` must be (T, H, W, D) of 1 to {_MOST_CELLS} cells, got {shape}")
    if len(key) < 16:
        raise UsageError(f"`key` must be at least 16 random bytes, got {len(key)}; make one with: "
                         "sorakit keys watermark new")  # fmt: skip
