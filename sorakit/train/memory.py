"""Tells glibc to keep the pages that tensors leave behind; a no-op with any other C library.

A training step frees and takes the same few megabytes hundreds of times. By default glibc maps each block
of that size anew and hands it back when freed, so the kernel clears every page again and the step pays for
the page faults. Whoever must return memory between steps should not call this.
"""

import ctypes
import sys

__all__ = ["keep_freed_pages"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
_LARGEST_ON_HEAP = 32 << 20
"""Blocks up to this size come from the heap; glibc refuses more (HEAP_MAX_SIZE / 2 on 64 bits)."""

_KEPT = 1 << 30
"""Free bytes at the heap's end that are not handed back."""


def keep_freed_pages() -> bool:
    """Keep freed pages in this process from now on; whether the C library took the settings.

    >>> isinstance(keep_freed_pages(), bool)
    True
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl has none
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_ON_HEAP) and mallopt(_M_TRIM_THRESHOLD, _KEPT))
