"""Health of the quantization."""

from pathlib import Path

import pytest
import torch
from helpers import make_run

from qsnn.quantization import symmetric
from qsnn.reporting.health.bptt import measure_health
from qsnn.reporting.health.figures import Limits, code_health, crossed_limits
from qsnn.training.code_changes import share_never_changed


def test_code_health_counts_saturated_lost_and_used_codes() -> None:
    raw = torch.tensor([0.0, 0.1, 0.2, 0.5, 0.9, -3.0, 0.75, 0.3])
    fmt = symmetric(3)  # codes -3..3, step 0.25
    health = code_health(raw, fmt)
    assert health["saturation"] == pytest.approx(3 / 8)  # 0.9, -3 and 0.75
    assert health["underflow"] == pytest.approx(1 / 7)  # 0.1 of the seven that are not zero
    assert health["codes_in_use"] == 5  # 0, 1, 2, 3, -3


def test_measure_health_covers_every_quantized_tensor(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    step = run.learn_batch(keep=True)[0]
    figures = measure_health(run.state, step)
    tensors = {
        f"{layer}.{t}" for layer in ("hidden", "output") for t in ("weight", "membrane", "synapse", "error", "gradient")
    }
    assert {key.rsplit("/", 1)[0] for key in figures} == tensors | {"hidden", "output"}
    assert figures["hidden.weight/codes_in_use"] == 3
    assert all(0 <= value <= 1 for key, value in figures.items() if not key.endswith("codes_in_use"))


def test_measure_health_of_full_precision_has_only_the_neurons(tmp_path: Path) -> None:
    run = make_run(tmp_path, "quantization=full_precision")
    step = run.learn_batch(keep=True)[0]
    figures = measure_health(run.state, step)
    assert set(figures) == {
        f"{layer}/{figure}" for layer in ("hidden", "output") for figure in ("silent", "always_firing")
    }


def test_share_never_changed_remembers_a_weight_that_came_back(tmp_path: Path) -> None:
    state = make_run(tmp_path).state
    weight = state.model.weights()["hidden.weight"].weight
    kept = weight[0, 0].item()
    with torch.no_grad():
        weight[0, 0] = 0.5 if kept < 0 else -0.5
    remembered = state.initial_codes, state.changed
    first = share_never_changed(state.model.stored_weights(), *remembered)["hidden"]
    with torch.no_grad():
        weight[0, 0] = kept
    again = share_never_changed(state.model.stored_weights(), *remembered)["hidden"]
    assert first == again == pytest.approx(1 - 1 / weight.numel())


def test_crossed_limits_names_the_figures_above_their_limit() -> None:
    limits = Limits(saturation=0.5, underflow=0.5, never_changed=0.5, silent=0.5, always_firing=0.5)
    figures = {
        "hidden.weight/saturation": 0.6,
        "hidden.error/underflow": 0.4,
        "hidden/silent": 0.9,
        "x/codes_in_use": 9.0,
    }
    assert crossed_limits(figures, limits) == ["hidden.weight/saturation", "hidden/silent"]
