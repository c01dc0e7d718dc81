"""Threads of NumPy's linear algebra.

The matrices of a surrogate have a few hundred to a few thousand rows. On a machine where other
processes are busy, OpenBLAS's threads then spend their time waiting for each other: inverting a
400 × 400 matrix took 166 ms with two threads and 8 ms with one on two busy cores.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from numpy.linalg import _umath_linalg

_PREFIXES = ("scipy_openblas", "openblas")


@contextmanager
def blas_threads(n: int) -> Iterator[None]:
    """Use at most n threads inside the block, where NumPy's BLAS is an OpenBLAS."""
    functions = _functions()
    if functions is None:
        yield
        return
    get, put = functions
    before = get()
    put(min(n, before))
    try:
        yield
    finally:
        put(before)


@lru_cache(maxsize=1)
def _functions() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    library = ctypes.CDLL(_umath_linalg.__file__)
    for prefix in _PREFIXES:
        for suffix in ("64_", ""):
            try:
                get = getattr(library, f"{prefix}_get_num_threads{suffix}")
                put = getattr(library, f"{prefix}_set_num_threads{suffix}")
            except AttributeError:
                continue
            get.restype, put.argtypes, put.restype = ctypes.c_int, [ctypes.c_int], None
            return get, put
    return None
