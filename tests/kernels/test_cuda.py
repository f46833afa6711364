"""device=cuda: on a simulated GPU, and on a real one where there is one."""

import json
from pathlib import Path

import pytest
import torch
from golden_layer import assert_equals_the_original, read_golden
from helpers import PATTERN_FILES, SMALL, golden_net, golden_pattern
from local_data import SMALL_LOCAL, data_folder

from qsnn.config.command_line import compose_config
from qsnn.config.run import start
from qsnn.config.scoring import score_run
from qsnn.kernels.backend import GradientRounding
from qsnn.kernels.eager import EAGER
from qsnn.kernels.local_backend import LOCAL_EAGER
from qsnn.losses import VanRossumDistance
from qsnn.quantization import RNG_RULES, RandomStream, divide, shift
from qsnn.training.checkpoint import load_checkpoint

EVERYTHING = [f"logging.{what}_every=1" for what in ("metrics", "raster", "histogram")]


# On a real GPU products of floats are summed in another order: 3e-6 at the membranes, which the surrogate's slope of 100 turns
# into 6e-5 at the errors.
FLOAT_TOLERANCE = 1e-4 if torch.cuda.is_available() else 1e-5


@pytest.mark.parametrize("name", PATTERN_FILES)
def test_pattern_net_equals_the_golden_pass_on_a_gpu(name: str, golden: Path, gpu: torch.device) -> None:
    g = golden_pattern(golden / f"pattern_{name}.npz")
    net = golden_net(g, EAGER).to(gpu)
    found = net.gradients(g.x.to(gpu), g.y.to(gpu), VanRossumDistance(0.75, float(g.tau), EAGER))
    hidden, output = found.activity.values()
    pairs = {
        "spk1": hidden.spikes, "spk2": output.spikes, "mem1": hidden.membrane, "mem2": output.membrane,
        "dcurrent1": found.currents["hidden"], "dcurrent2": found.currents["output"],
        "dw1": found.weights["hidden.weight"], "dw2": found.weights["output.weight"],
    }  # fmt: skip
    assert found.loss == pytest.approx(float(g.loss), rel=1e-6)
    for key, ours in pairs.items():
        assert ours.device.type == "cuda"
        expected = getattr(g, key)
        if g.weight_bits is None:
            assert (ours.cpu() - expected).abs().max() <= FLOAT_TOLERANCE * expected.abs().max(), key
        else:
            assert torch.equal(ours.cpu(), expected), key


@pytest.mark.parametrize("name", ["icons", "low", "float"])
def test_local_layer_equals_the_original_on_a_gpu(name: str, golden: Path, gpu: torch.device) -> None:
    assert_equals_the_original(read_golden(golden / f"decolle_layer_{name}.npz"), LOCAL_EAGER, gpu)


def test_divide_and_shift_are_exact_on_a_gpu(gpu: torch.device) -> None:
    numbers = torch.arange(1, 4000, dtype=torch.float32)
    for divisor in (13, 31, 127):
        assert torch.equal(divide(numbers.to(gpu) * divisor, divisor).cpu(), numbers)
    powers = 2.0 ** torch.arange(-149, 128, dtype=torch.float64).float()
    assert torch.equal(shift(powers.to(gpu)).cpu(), powers)


@pytest.mark.parametrize("rng_rule", RNG_RULES)
@pytest.mark.parametrize("rng_bits", [1, 2, 16, 24])
def test_gradients_are_rounded_on_a_gpu_as_on_a_cpu(rng_rule: str, rng_bits: int, gpu: torch.device) -> None:
    gradient = torch.randn(50, 60, generator=torch.Generator().manual_seed(0))
    gradient[3:9] = 0
    rounding = GradientRounding(5.0, 8, rng_bits, rng_rule)
    ours, theirs = (EAGER.round_gradient(g, RandomStream(7), rounding) for g in (gradient.to(gpu), gradient))
    assert torch.equal(ours.gradient.cpu(), theirs.gradient)
    assert ours[1:] == theirs[1:]


def test_set_up_cuda_leaves_no_rounded_products_and_no_chance(gpu: torch.device) -> None:
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("experiment", ["pattern", "pattern_full_precision", "local", "local_full_precision"])
def test_run_on_a_gpu_trains_resumes_and_is_scored(experiment: str, gpu: torch.device, tmp_path: Path) -> None:
    if experiment.startswith("pattern"):
        words = [*SMALL, *EVERYTHING, "logging.health_every=1"]
        words += ["quantization=full_precision"] * ("full" in experiment)
    else:
        words = [*SMALL_LOCAL, *EVERYTHING, *data_folder(tmp_path, "nmnist"), "trainer.validate_every=1"]
        words += ["quantization=full_precision", "optimizer=adam", "optimizer.lr_schedule=constant"] * (
            "full" in experiment
        )
    weights = {}
    for device in ("cpu", "cuda"):
        folder = tmp_path / device
        run = [*words, f"device={device}", "kernels=eager"]
        start(compose_config([*run, "trainer.epochs=1"]), folder, run)
        start(compose_config([*run, "trainer.epochs=2", f"resume={folder}"]), folder, run)
        (folder / ".hydra").mkdir()
        (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(run))
        assert score_run([f"run={folder}"]) == score_run([f"run={folder}", "device=cpu"])
        weights[device] = load_checkpoint(folder / "checkpoints" / "last.pt")["model"]
    for name, ours in weights["cuda"].items():
        theirs = weights["cpu"][name]
        assert ours.device.type == "cpu"  # loaded by a process without a GPU
        assert torch.equal(ours, theirs) or (ours - theirs).abs().max() <= 1e-4 * theirs.abs().max(), name
