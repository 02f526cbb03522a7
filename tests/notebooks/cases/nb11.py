"""Answers to notebook 11."""

import base64
import math

import numpy as np


def _bound(n: int, k: int) -> float:
    return -(max(0, 2 * k - n) ** 2) / (2 * n) / math.log(10)


def _ids(registry: object, alg: str, value: str) -> list[str]:
    return registry.ids_by_binding(alg, base64.b64decode(value).hex())  # type: ignore[attr-defined]


def _records(registry: object, alg: str, value: str) -> list[object]:
    return registry.find_by_binding(alg, base64.b64decode(value).hex())  # type: ignore[attr-defined]


def _normal(n: int, k: int) -> float:
    return math.log10(max(1e-300, math.erfc((2 * k - n) / math.sqrt(n) / math.sqrt(2)) / 2))


RIGHT = {
    "11.1": (lambda sent, soft: np.mean(np.sign(soft) != sent),),
    "11.2": (_bound,),
    "11.3": (_ids,),
}

WRONG = {
    "11.1": [
        (lambda sent, soft: np.mean(np.sign(soft) == sent),),
        (lambda sent, soft: np.sum(np.sign(soft) != sent),),
        (lambda sent, soft: np.mean(soft != sent),),
        (lambda sent, soft: np.mean(np.sign(soft) != sent, axis=-1),),
    ],
    "11.2": [
        (lambda n, k: _bound(n, k) * math.log(10),),
        (lambda n, k: -(k**2) / (2 * n) / math.log(10),),
        (lambda n, k: -((k - n / 2) ** 2) / (2 * n) / math.log(10),),
        (lambda n, k: -((2 * k - n) ** 2) / (2 * n) / math.log(10),),
        (lambda n, k: 10 ** _bound(n, k),),
        (_normal,),
        (lambda n, k: 0.0,),
    ],
    "11.3": [
        (lambda registry, alg, value: [r.manifest_id for r in _records(registry, alg, value)],),
        (_records,),
        (lambda registry, alg, value: registry.ids_by_binding(alg, value),),
        (lambda registry, alg, value: _ids(registry, "io.github.sorakit.lattice.1", value),),
        (lambda registry, alg, value: _ids(registry, alg, value)[::-1],),
    ],
}
