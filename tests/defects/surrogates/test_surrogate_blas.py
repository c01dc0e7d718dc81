from __future__ import annotations

import numpy as np
import pytest

from defects.surrogates import blas


def test_threads_are_limited_and_given_back() -> None:
    functions = blas._functions()
    if functions is None:
        pytest.skip("NumPy's BLAS is no OpenBLAS")
    get, put = functions
    before = get()
    put(2)
    try:
        with blas.blas_threads(1):
            assert get() == 1
            np.linalg.inv(np.eye(50))
        assert get() == 2
        with pytest.raises(ValueError, match="inside"), blas.blas_threads(1):
            raise ValueError("inside")
        assert get() == 2
    finally:
        put(before)


def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "_functions", lambda: None)
    with blas.blas_threads(1):
        assert np.linalg.inv(2 * np.eye(3))[0, 0] == 0.5
