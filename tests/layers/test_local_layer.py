"""The local-learning layer against the original program's numbers, over every backend."""

from pathlib import Path

import pytest
import torch
from golden_layer import assert_equals_the_original, read_golden

from qsnn.kernels.backend import Backend
from qsnn.kernels.dispatch import select_local_backend


@pytest.mark.parametrize("name", ["icons", "low", "float"])
def test_local_layer_equals_the_original_over_forty_steps(name: str, backend: Backend, golden: Path) -> None:
    vectors = read_golden(golden / f"decolle_layer_{name}.npz")
    assert_equals_the_original(vectors, select_local_backend(backend.name), torch.device("cpu"))
