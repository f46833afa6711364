"""Every experiment and every group option composes, builds and takes one step; the files agree with the schema."""

from dataclasses import fields
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from scripts_module import load_script

from qsnn.config.builders import build_run, to_config
from qsnn.config.command_line import compose_config, group_options, known_keys
from qsnn.config.paths import config_folder
from qsnn.config.schema import GROUPS
from qsnn.config.schema_datasets import EventDatasetConfig
from qsnn.errors import ConfigError
from qsnn.training.loop import train_epoch

OPTIONS = [(group, option) for group, options in group_options().items() for option in options]


# They hold recordings to tell apart; pattern_net, the default model, refuses them.
EVENT_DATASETS = [option for option, schema in GROUPS["dataset"].items() if issubclass(schema, EventDatasetConfig)]


@pytest.mark.parametrize("option", EVENT_DATASETS)
def test_event_datasets_are_refused_by_the_pattern_net(option: str) -> None:
    with pytest.raises(ConfigError, match="model=pattern_net retains a pattern"):
        to_config(compose_config([f"dataset={option}"]))


@pytest.mark.parametrize(("group", "option"), [entry for entry in OPTIONS if entry[1] not in EVENT_DATASETS])
def test_every_option_composes_builds_and_takes_a_step(group: str, option: str, tmp_path: Path) -> None:
    run = build_run(to_config(compose_config([f"{group}={option}"])), tmp_path)
    before = {name: linear.weight.detach().clone() for name, linear in run.state.model.linears().items()}
    result = train_epoch(run, keep_errors=True)[0]
    assert result.distance > 0
    assert any((linear.weight != before[name]).any() for name, linear in run.state.model.linears().items())


@pytest.mark.parametrize(("group", "option"), [entry for entry in OPTIONS if entry[0] != "experiment"])
def test_every_option_file_sets_every_key_of_its_schema(group: str, option: str) -> None:
    node = compose_config([f"{group}={option}"])[group]
    schema = OmegaConf.get_type(node)
    written = (Path(config_folder()) / group / f"{option}.yaml").read_text()
    inherits = "  - iscas" in written
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
    for group in ("optimizer", "dataset"):
        for option, schema in GROUPS[group].items():
            assert compose_config([f"{group}={option}"])[group] == OmegaConf.structured(schema)


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
    "model.num_inputs": 700, "model.num_hidden": 400, "model.num_outputs": 250, "optimizer.lr": 1.0,
    "optimizer.betas": [0.9, 0.999], "optimizer.eta": 0.1, "neuron.threshold": 0.9, "neuron.surrogate_slope": 100.0,
    "model.fan_in": 784, "dataset.density": 0.95,
}  # fmt: skip


def test_default_config_is_the_original_programs() -> None:
    cfg = compose_config([])
    assert {key: OmegaConf.select(cfg, key) for key in ORIGINAL_ARGUMENTS} == ORIGINAL_ARGUMENTS
    lif = build_run(to_config(cfg), Path()).state.model.hidden.lif.dynamics
    assert (lif.synapse_decay, lif.membrane_decay) == (0.75, 0.875)
