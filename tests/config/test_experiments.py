"""Every experiment and every group option composes, builds and takes one step; the paper's experiments are the originals."""

import functools
from pathlib import Path

import pytest
from helpers import QUIET
from local_data import SMALL_NET, data_folder
from omegaconf import DictConfig, OmegaConf

from qsnn.config.building.common import flatten, plain_config
from qsnn.config.building.run import build_run, to_config
from qsnn.config.command_line import compose_config, group_options
from qsnn.dynamics.optimizers import AdamaxOption
from qsnn.training.run import Run

# With the optimizers and losses of most runs refused: the experiments in integers build them.
INTEGERS = [("quantization", name) for name in ("iscas_integer", "bits8_integer", "icons_integer")]
OPTIONS = [
    (group, option)
    for group, options in group_options().items()
    for option in options
    if (group, option) not in INTEGERS
]


def entries(by_group: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(group, option) for group, options in by_group.items() for option in options]


# What the default run, of a pattern, cannot have in the place of its own.
NO_PATTERN = entries({
    "model": ("conv", "gesture_conv", "gesture_small", "nmnist_conv", "nmnist_integer", "nmnist_small"),
    "neuron": ("trace_lif", "traces_60ms", "traces_30ms", "traces_30ms_integer"),
    "loss": ("cross_entropy", "cross_entropy_flat", "local_readout", "spike_count"),
    "trainer": ("local", "local_gesture_small", "local_nmnist_small", "local_objects"),
})  # fmt: skip
LOCAL_EXPERIMENTS = (
    "icons_gesture", "icons_poker", "gesture_small", "gesture_demo", "nmnist_small", "gesture_demo_full_precision",
    "nmnist_small_full_precision", "nmnist_local_integer", "objects_local",
)  # fmt: skip
CLASS_EXPERIMENTS = (
    "gesture_bptt", "gesture_conv", "nmnist_bptt", "nmnist_conv", "nmnist_integer", "objects", "randman", "randman_integer",
    "search_bits", "shd", "yin_yang", "yin_yang_full_precision",
)  # fmt: skip
PATTERNS = entries({"dataset": ("pattern", "pattern_quick")})
DATASETS = [entry for entry in OPTIONS if entry[0] == "dataset" and entry not in PATTERNS]
CHANNELS = entries({"dataset": ("arrays", "randman", "randman_small", "shd", "ssc", "yin_yang")})
OF_RECORDINGS = [*DATASETS, *entries({"experiment": (*LOCAL_EXPERIMENTS, *CLASS_EXPERIMENTS)})]
PATTERN = [entry for entry in OPTIONS if entry not in [*NO_PATTERN, *OF_RECORDINGS]]
ANY_NET = [entry for entry in OPTIONS if entry[0] in ("model", "quantization", "optimizer", "logging")]
NO_LOCAL = entries(
    {"loss": ("cross_entropy", "cross_entropy_flat", "spike_count"), "model": ("gesture_conv", "recurrent", "shd")}
)
LOCAL = [
    *(entry for entry in NO_PATTERN if entry not in NO_LOCAL),
    *(entry for entry in ANY_NET if entry not in [*NO_PATTERN, *NO_LOCAL]),
    *(entry for entry in DATASETS if entry not in CHANNELS),
    *entries({"experiment": LOCAL_EXPERIMENTS}),
]  # fmt: skip
CLASSES = [
    *ANY_NET,
    *(entry for entry in OPTIONS if entry[0] == "neuron" and entry not in NO_PATTERN),
    *entries({"loss": ("auto", "cross_entropy", "cross_entropy_flat", "spike_count")}),
    *(entry for entry in OPTIONS if entry[0] == "trainer" and entry not in NO_PATTERN),
    *DATASETS,
    *entries({"experiment": CLASS_EXPERIMENTS}),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where small data sets in the real formats are written."""
    return tmp_path_factory.mktemp("data")


def changed_by_a_step(run: Run) -> dict[str, bool]:
    """Whether one epoch of a pattern, or one batch of recordings, changes the weights of each layer."""
    before = {name: value.clone() for name, value in run.state.model.state_dict().items()}
    run.advance(QUIET)
    after = run.state.model.state_dict()
    return {name: bool((after[name] != before[name]).any()) for name in before if name.split(".")[-1] == "weight"}


@pytest.mark.parametrize(("group", "option"), PATTERN)
def test_every_pattern_option_composes_builds_and_takes_a_step(group: str, option: str, tmp_path: Path) -> None:
    run = build_run(to_config(compose_config([f"{group}={option}"])), tmp_path)
    assert any(changed_by_a_step(run).values())


@functools.cache
def dataset_of(*words: str) -> str:
    """The option of the data set that these choose."""
    return str(OmegaConf.get_type(compose_config([*words]).dataset).option)


def words_with(group: str, option: str, beside: list[str], data: Path) -> list[str]:
    """Overrides of a run with this option: on files in the real format, with windows of 90 ms, otherwise its own settings.

    An experiment keeps its own net; ``beside`` are what other options have around them.
    """
    words, own_data = [f"{group}={option}"], group in ("dataset", "experiment")
    if group != "experiment":
        words = [*beside, *([] if own_data else ["dataset=nmnist"]), *words]
    dataset = dataset_of(*words) if own_data else "nmnist"  # a composition takes as long as the step
    words += ["dataset.downsample=2"] if dataset == "nmnist" and group != "experiment" else []
    windows = (
        ["dataset.window_train=0.09", "dataset.window_test=0.09"] if dataset not in ("randman", "yin_yang") else []
    )
    if dataset == "event_folder":
        windows += ["dataset.piece_duration=0.09"]  # of files that are shorter than the pieces of real ones
    return [*words, *windows, "trainer.epochs=1", "trainer.batch_size=4", *data_folder(data, dataset)]


@pytest.mark.parametrize(("group", "option"), LOCAL)
def test_every_local_option_composes_builds_and_takes_a_step(
    group: str, option: str, data: Path, tmp_path: Path
) -> None:
    beside = ["experiment=icons_gesture", *([] if group == "model" else SMALL_NET)]
    run = build_run(to_config(compose_config(words_with(group, option, beside, data))), tmp_path)
    assert run.task.batches_per_epoch > 1
    assert all(changed_by_a_step(run).values())


@pytest.mark.parametrize(("group", "option"), CLASSES)
def test_every_option_of_bptt_on_classes_composes_builds_and_takes_a_step(
    group: str, option: str, data: Path, tmp_path: Path
) -> None:
    beside = [
        *([] if group == "model" else ["model.hidden=[20]"]),
        *([] if group == "neuron" else ["neuron.threshold=0.3"]),
    ]
    run = build_run(to_config(compose_config(words_with(group, option, beside, data))), tmp_path)
    assert run.task.batches_per_epoch > 1
    assert run.learner.backend_name in ("eager", "numba")
    assert any(changed_by_a_step(run).values())


ORIGINAL_ARGUMENTS = {
    "quantization.weight_bits": 2, "quantization.state_bits": 8, "quantization.gradient_bits": 8,
    "quantization.error_bits": 8, "quantization.rng_bits": 16, "neuron.dt": 0.001, "dataset.num_steps": 250,
    "trainer.epochs": 10000, "neuron.tau_mem": 0.01, "neuron.tau_syn": 0.005, "loss.tau_vr": 0.005,
    "dataset.num_inputs": 700, "model.hidden": [400], "dataset.num_outputs": 250, "dataset.density": 0.95,
    "neuron.threshold": 0.9,
}  # fmt: skip
FIXED_IN_THE_ORIGINAL = {
    "optimizer.lr": 1.0, "optimizer.betas": [0.9, 0.999], "optimizer.eta": 0.1, "optimizer.lr_schedule": "constant",
    "optimizer.eta_schedule": "constant", "neuron.surrogate_slope": 100.0, "neuron.threshold_mask": True, "model.fan_in": 784,
}  # fmt: skip


ORIGINAL_GESTURE_ARGUMENTS = {
    "quantization.weight_bits": 8, "quantization.synapse_trace_bits": 10, "quantization.membrane_trace_bits": 12,
    "quantization.refractory_bits": 2, "quantization.readout_weight_bits": 6, "quantization.gradient_bits": 10,
    "quantization.error_bits": 6, "quantization.rng_bits": 16, "quantization.membrane_bits": 6, "quantization.readout_bits": 6,
    "quantization.sigmoid_bits": 6, "optimizer.eta": 1.0, "optimizer.lr": 1.0, "optimizer.lr_full_precision": 1e-9 / 4e-5**2,
    "model.init_beta": 1.5, "neuron.dt": 0.001, "dataset.input_mode": 0, "dataset.downsample": 4, "trainer.epochs": 320,
    "trainer.lr_div": 80, "trainer.batch_size": 72, "neuron.trace_cap": 1.0, "trainer.weight_mult": [4e-5],
    "trainer.dropout": 0.5, "trainer.readout_amplitude": 0.5, "loss.l1": 0.001, "loss.l2": 0.001,
    "neuron.tau_mem_lower": 0.005, "neuron.tau_mem_upper": 0.035, "neuron.tau_syn_lower": 0.005, "neuron.tau_syn_upper": 0.01,
    "neuron.tau_ref": 0.001 / 0.35, "model.channels": [64, 128, 128], "model.kernel_size": [7, 7, 7],
    "model.padding": [2, 2, 2], "model.pooling": [2, 1, 2], "dataset.window_train": 0.5, "trainer.burn_in": 0.051,
    "dataset.jitter": 0.5, "dataset.validation_share": 0.2,
}  # fmt: skip


BY_LAYER = ("channels", "kernel_size", "padding", "pooling")


@pytest.mark.parametrize(("experiment", "window_test"), [("icons_gesture", 1.8), ("icons_poker", 0.5)])
def test_icons_experiments_are_the_original_programs(experiment: str, window_test: float) -> None:
    config = to_config(compose_config([f"experiment={experiment}", "dataset.root=."]))
    flat = flatten(plain_config(config))
    layers = {f"model.{name}": [getattr(each, name) for each in config.model.geometries()] for name in BY_LAYER}
    found = {key: {**flat, **layers}[key] for key in ORIGINAL_GESTURE_ARGUMENTS}
    assert found == {key: pytest.approx(value) for key, value in ORIGINAL_GESTURE_ARGUMENTS.items()}
    assert config.dataset.window_test == window_test


def _selected(cfg: DictConfig, wanted: dict[str, object]) -> dict[str, object]:
    return {key: OmegaConf.select(cfg, key) for key in wanted}


@pytest.mark.parametrize("overrides", [[], ["experiment=iscas_pattern"]])
def test_default_and_paper_run_keep_every_argument_of_the_original_program(overrides: list[str]) -> None:
    config = to_config(compose_config(overrides))
    flat = flatten(plain_config(config))
    assert {key: flat[key] for key in ORIGINAL_ARGUMENTS} == ORIGINAL_ARGUMENTS
    lif = build_run(config, Path()).state.model.layers["hidden"].lif.dynamics
    assert (lif.synapse_decay, lif.membrane_decay) == (0.75, 0.875)


@pytest.mark.parametrize("experiment", ["iscas_pattern", "pattern_full_precision", "quick"])
def test_paper_experiments_pin_what_the_original_program_fixed_in_its_code(experiment: str) -> None:
    cfg = compose_config([f"experiment={experiment}"])
    assert OmegaConf.get_type(cfg.optimizer) is AdamaxOption
    assert _selected(cfg, FIXED_IN_THE_ORIGINAL) == FIXED_IN_THE_ORIGINAL


def test_default_run_is_the_recipe_for_two_bits() -> None:
    default, recipe, paper = (
        compose_config([f"experiment={name}"]) for name in ("pattern", "pattern_w2", "iscas_pattern")
    )
    assert compose_config([]) == default
    recipe.name = default.name
    assert recipe == default
    differing = [key for key in FIXED_IN_THE_ORIGINAL if OmegaConf.select(default, key) != OmegaConf.select(paper, key)]
    assert set(differing) == set(FIXED_IN_THE_ORIGINAL) - {"optimizer.betas", "optimizer.eta_schedule"}


def test_sgd_in_integers_makes_the_default_run_the_integer_recipe() -> None:
    by_option = compose_config(["optimizer=sgd_halving", "quantization=iscas_integer"])
    recipe = compose_config(["experiment=pattern_w2_integer"])
    recipe.name = by_option.name
    assert recipe == by_option


@pytest.mark.parametrize("experiment", ["iscas_pattern", "pattern_integer", "icons_gesture", "icons_poker"])
def test_paper_experiments_round_gradients_by_the_original_rule(experiment: str) -> None:
    assert compose_config([f"experiment={experiment}"]).quantization.rng_rule == "original"
