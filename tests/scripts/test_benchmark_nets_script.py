"""The benchmark of nets of classes takes whole steps of nets from the config, and tells what other libraries print."""

import argparse
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scripts_module import load_script


def test_benchmark_net_takes_steps_whose_rates_stay() -> None:
    script = load_script("benchmark_nets")
    ours = script.Ours("digits", 1, 1.0, *script.random_batch("digits"))
    first = ours.rates()
    assert first[0] > 0.001
    weights = [tensor.clone() for tensor in ours.state.model.trained_tensors().values()]
    ms, cpu_ms = script.median_ms(ours.step, 0.0)
    assert ms > 0
    assert cpu_ms > 0
    assert ours.rates() == pytest.approx(first, rel=0.1, abs=1e-3)
    assert ours.state.step == 12  # five to warm up, five timed, two for rates
    moved = [a - b for a, b in zip(ours.state.model.trained_tensors().values(), weights, strict=True)]
    assert all(0 < change.abs().max() < 1e-4 for change in moved)


def test_benchmark_tells_why_another_library_was_not_timed(tmp_path: Path) -> None:
    script, data = load_script("benchmark_nets"), tmp_path / "batch.npz"
    np.savez(data, x=np.zeros((2, 3, 700), np.uint8), labels=np.zeros(3, np.int64))
    options = argparse.Namespace(threads=1, seconds=0.0)
    found = script.time_peer("deep", "spyx", sys.executable, data, options)
    assert found == {"error": "ModuleNotFoundError: No module named 'jax'"}


def test_weights_for_other_libraries_have_the_sizes_of_the_nets() -> None:
    ours, peers = load_script("benchmark_nets"), load_script("peer_nets")
    for name, (sizes, _) in peers.NETS.items():
        _, inputs, outputs, shape, density = ours.NETS[name]
        assert (sizes[0], sizes[-1]) == (inputs, outputs)
        made = peers.weights(sizes, density)
        assert [w.shape for w in made] == [(b, a) for a, b in pairwise(sizes)]
        x, labels = ours.random_batch(name)
        assert x.shape == (*shape[:2], inputs)
        assert x.dtype == torch.uint8
        assert int(labels.max()) < outputs
