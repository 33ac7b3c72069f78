"""Every kernel test can run on each SIMD level of the machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from diorama import kernels


@pytest.fixture(params=kernels.simd_levels())
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    before = kernels.simd_level()
    kernels.set_simd_level(request.param)
    yield request.param
    kernels.set_simd_level(before)


@pytest.fixture(autouse=True)
def one_torch_thread() -> Iterator[None]:
    """The twin's many small operations gain nothing from threads and lose to their start-up."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def threads() -> Iterator[None]:
    """Restores the thread count after a test that changes it."""
    before = kernels.thread_count()
    yield
    kernels.set_thread_count(before)
