"""Every experiment and every group option composes, builds and takes one step; the files agree with the schema."""

from dataclasses import fields
from pathlib import Path

import pytest
from local_data import SMALL_NET, data_folder
from omegaconf import DictConfig, OmegaConf
from scripts_module import load_script

from qsnn.config.building.run import build_pattern_run, build_run, to_config
from qsnn.config.command_line import compose_config, group_options, known_keys
from qsnn.config.paths import config_folder
from qsnn.config.schema import GROUPS, AdamaxConfig
from qsnn.data.events.batches import train_batches
from qsnn.errors import ConfigError
from qsnn.training.local_learning import train_batch
from qsnn.training.local_run import LocalRun
from qsnn.training.pattern_run import train_epoch

OPTIONS = [(group, option) for group, options in group_options().items() for option in options]
LOCAL_OPTIONS = {
    "model": ("local_conv", "local_mlp"),
    "quantization": ("icons", "icons_full_precision"),
    "neuron": ("trace_lif",),
    "dataset": ("dvs_gesture", "slow_poker", "nmnist", "synthetic_gesture"),
    "trainer": ("local",),
    "optimizer": ("local_sgd", "sgd", "adam"),
    "experiment": (
        "icons_gesture",
        "icons_poker",
        "gesture_small",
        "gesture_demo",
        "nmnist_small",
        "gesture_demo_full_precision",
        "nmnist_small_full_precision",
    ),
}
LOCAL = [(group, option) for group, options in LOCAL_OPTIONS.items() for option in options]
PATTERN = [entry for entry in OPTIONS if entry not in LOCAL or entry[0] == "optimizer"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where small data sets in the real formats are written."""
    return tmp_path_factory.mktemp("data")


@pytest.mark.parametrize(("group", "option"), PATTERN)
def test_every_pattern_option_composes_builds_and_takes_a_step(group: str, option: str, tmp_path: Path) -> None:
    run = build_pattern_run(to_config(compose_config([f"{group}={option}"])), tmp_path)
    before = {name: linear.weight.detach().clone() for name, linear in run.state.model.linears().items()}
    result = train_epoch(run, keep_errors=True)[0]
    assert result.distance > 0
    assert any((linear.weight != before[name]).any() for name, linear in run.state.model.linears().items())


def local_words(group: str, option: str, data: Path) -> list[str]:
    """Overrides of a run with this option: on files in the real format, with windows of 60 ms, otherwise its own settings.

    An experiment keeps its own net; beside other options a small one is enough.
    """
    words = [f"{group}={option}"]
    dataset = option if group == "dataset" else "nmnist"
    if group == "experiment":
        dataset = OmegaConf.get_type(compose_config(words).dataset).__doc__.split(":")[0].removeprefix("dataset=")
    else:
        words = ["experiment=icons_gesture", *words, *([] if group == "dataset" else ["dataset=nmnist"])]
        words += [] if option == "local_mlp" else SMALL_NET
        words += ["dataset.downsample=2"] if dataset == "nmnist" else []
    windows = ["dataset.window_train=0.09", "dataset.window_test=0.09", "trainer.epochs=1", "trainer.batch_size=8"]
    return [*words, *windows, *data_folder(data, dataset)]


@pytest.mark.parametrize(("group", "option"), LOCAL)
def test_every_local_option_composes_builds_and_takes_a_step(
    group: str, option: str, data: Path, tmp_path: Path
) -> None:
    run = build_run(to_config(compose_config(local_words(group, option, data))), tmp_path)
    assert isinstance(run, LocalRun)
    before = {name: value.clone() for name, value in run.state.model.state_dict().items()}
    batch = next(train_batches(run.dataset, run.split.train, run.train_windows, 4, 0, 1))
    settings = run.settings
    tallies = train_batch(
        run.state,
        batch,
        settings.burn_in,
        settings.dropout,
        settings.rounding_in(1),
        settings.lr_factor(1),
        settings.backend,
    )
    assert all(tally.updates > 0 for tally in tallies.values())
    assert any((value != before[name]).any() for name, value in run.state.model.state_dict().items())


def test_local_options_are_all_that_the_pattern_experiment_refuses() -> None:
    for group, option in LOCAL:
        if group not in ("experiment", "optimizer"):
            with pytest.raises(ConfigError, match=r"goes with (model|quantization|neuron|dataset)="):
                to_config(compose_config([f"{group}={option}"]))


@pytest.mark.parametrize(("group", "option"), [entry for entry in OPTIONS if entry[0] != "experiment"])
def test_every_option_file_sets_every_key_of_its_schema(group: str, option: str) -> None:
    node = compose_config([f"{group}={option}"])[group]
    schema = OmegaConf.get_type(node)
    written = (Path(config_folder()) / group / f"{option}.yaml").read_text()
    inherits = any(f"\n  - {other}\n" in written for other in ("iscas", "icons", "sgd"))
    assert inherits or all(f"\n{entry.name}:" in written for entry in fields(schema))


def test_every_schema_is_used_by_an_option() -> None:
    used = {OmegaConf.get_type(compose_config([f"{g}={o}"])[g]) for g, o in OPTIONS if g != "experiment"}
    assert used == {schema for options in GROUPS.values() for schema in options.values()}


def test_schema_defaults_are_those_of_the_default_option_files() -> None:
    for group, defaults in {
        "model": "pattern_net",
        "neuron": "cuba_lif",
        "dataset": "pattern",
        "trainer": "bptt",
    }.items():
        composed = compose_config([])[group]
        assert composed == OmegaConf.structured(GROUPS[group][defaults])
    for group, option in [
        *((g, o) for g in ("model", "neuron", "dataset", "trainer") for o in LOCAL_OPTIONS[g]),
        ("quantization", "icons"),
    ]:
        schema = GROUPS[group]["local_bits" if option == "icons" else option]
        assert compose_config([f"{group}={option}"])[group] == OmegaConf.structured(schema), option
    for option, schema in GROUPS["optimizer"].items():
        assert compose_config([f"optimizer={option}"]).optimizer == OmegaConf.structured(schema)


def test_docs_explain_every_key_and_are_up_to_date() -> None:
    script = load_script("write_config_docs")
    assert (Path(__file__).resolve().parents[2] / "docs" / "config.md").read_text() == script.config_docs()
    text = script.config_docs()
    assert all(f"`{key}`" in text for key in known_keys() if "." in key and key != "logging.limits")


def test_help_lists_every_group_option() -> None:
    help_text = (Path(config_folder()) / "hydra" / "help" / "qsnn.yaml").read_text()
    missing = [f"{group}={option}" for group, option in OPTIONS if option not in help_text]
    assert missing == []


ORIGINAL_ARGUMENTS = {
    "quantization.weight_bits": 2, "quantization.state_bits": 8, "quantization.gradient_bits": 8,
    "quantization.error_bits": 8, "quantization.rng_bits": 16, "neuron.dt": 0.001, "dataset.num_steps": 250,
    "trainer.epochs": 10000, "neuron.tau_mem": 0.01, "neuron.tau_syn": 0.005, "neuron.tau_vr": 0.005,
    "model.num_inputs": 700, "model.num_hidden": 400, "model.num_outputs": 250, "dataset.density": 0.95,
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
    "trainer.lr_div": 80, "trainer.batch_size": 72, "neuron.trace_cap": 1.0, "model.weight_mult": [4e-5],
    "trainer.dropout": 0.5, "model.readout_amplitude": 0.5, "trainer.l1": 0.001, "trainer.l2": 0.001,
    "neuron.tau_mem_lower": 0.005, "neuron.tau_mem_upper": 0.035, "neuron.tau_syn_lower": 0.005, "neuron.tau_syn_upper": 0.01,
    "neuron.tau_ref": 0.001 / 0.35, "model.channels": [64, 128, 128], "model.kernel_size": [7, 7, 7],
    "model.padding": [2, 2, 2], "model.pooling": [2, 1, 2], "dataset.window_train": 0.5, "trainer.burn_in": 0.051,
    "dataset.jitter": 0.5, "dataset.validation_share": 0.2,
}  # fmt: skip


@pytest.mark.parametrize(("experiment", "window_test"), [("icons_gesture", 1.8), ("icons_poker", 0.5)])
def test_icons_experiments_are_the_original_programs(experiment: str, window_test: float) -> None:
    cfg = compose_config([f"experiment={experiment}"])
    found = {key: OmegaConf.select(cfg, key) for key in ORIGINAL_GESTURE_ARGUMENTS}
    assert found == {key: pytest.approx(value) for key, value in ORIGINAL_GESTURE_ARGUMENTS.items()}
    assert cfg.dataset.window_test == window_test


def _selected(cfg: DictConfig, wanted: dict[str, object]) -> dict[str, object]:
    return {key: OmegaConf.select(cfg, key) for key in wanted}


@pytest.mark.parametrize("overrides", [[], ["experiment=iscas_pattern"]])
def test_default_and_paper_run_keep_every_argument_of_the_original_program(overrides: list[str]) -> None:
    cfg = compose_config(overrides)
    assert _selected(cfg, ORIGINAL_ARGUMENTS) == ORIGINAL_ARGUMENTS
    lif = build_pattern_run(to_config(cfg), Path()).state.model.layers["hidden"].lif.dynamics
    assert (lif.synapse_decay, lif.membrane_decay) == (0.75, 0.875)


@pytest.mark.parametrize("experiment", ["iscas_pattern", "pattern_full_precision", "quick"])
def test_paper_experiments_pin_what_the_original_program_fixed_in_its_code(experiment: str) -> None:
    cfg = compose_config([f"experiment={experiment}"])
    assert OmegaConf.get_type(cfg.optimizer) is AdamaxConfig
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


def test_sgd_alone_makes_the_default_run_the_integer_recipe() -> None:
    by_option, recipe = compose_config(["optimizer=sgd"]), compose_config(["experiment=pattern_w2_integer"])
    recipe.name = by_option.name
    assert recipe == by_option


@pytest.mark.parametrize("experiment", ["iscas_pattern", "pattern_integer", "icons_gesture", "icons_poker"])
def test_paper_experiments_round_gradients_by_the_original_rule(experiment: str) -> None:
    assert compose_config([f"experiment={experiment}"]).quantization.rng_rule == "original"
