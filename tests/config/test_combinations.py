"""Every experiment with every other model, neuron and data set: it fits and trains, or one line says what is missing."""

import copy
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import yaml
from omegaconf import OmegaConf

from qsnn.config.building.run import build_run, to_config
from qsnn.config.checking.checks import check_config
from qsnn.config.command_line import compose_config, group_options
from qsnn.config.paths import config_folder
from qsnn.config.schema import Config
from qsnn.errors import ConfigError
from qsnn.options import GROUPS, Option

CHOICES = group_options()
EXPERIMENTS = CHOICES["experiment"]
SWAPPED = ("model", "neuron", "dataset")
DENSE = ("feedforward", "iscas_pattern", "pattern", "quick")
CONVOLUTIONS = ("conv", "gesture_small", "nmnist_small")
SPIKING = ("cuba_lif", "iscas_pattern", "lif", "if")
TRACES = ("trace_lif", "traces_30ms", "traces_60ms")
RECORDINGS = (
    "dvs_gesture",
    "dvs_gesture_small",
    "gesture_demo",
    "nmnist",
    "nmnist_small",
    "slow_poker",
    "synthetic_gesture",
)
GENERATED = ("pattern", "synthetic_gesture")


@pytest.fixture(scope="module")
def composed() -> dict[str, Config]:
    """Every experiment."""
    return {name: to_config(compose_config([f"experiment={name}"])) for name in EXPERIMENTS}


@pytest.fixture(scope="module")
def options() -> dict[str, dict[str, Option]]:
    """Every choice of the groups that are swapped, as its file sets it."""
    return {
        group: {name: OmegaConf.to_object(compose_config([f"{group}={name}"])[group]) for name in CHOICES[group]}  # type: ignore[misc]
        for group in SWAPPED
    }


def small(config: Config, cache: Path) -> Config:
    """The same with few neurons, few recordings and short windows."""
    trainer, model, data = config.trainer, config.model, config.dataset
    if data.option == "pattern":
        data = replace(data, num_inputs=30, num_outputs=20, num_steps=20)
    else:
        people = {"num_users": 2, "num_test_users": 1, "lights": ["led"], "duration": 0.1, "validation_share": 0.5}
        data = replace(data, **people, window_train=0.09, window_test=0.09, downsample=8, cache=str(cache))
        trainer = replace(trainer, burn_in=0.04, batch_size=4)
    sizes = "hidden" if model.option == "feedforward" else "channels"
    model = replace(model, **{sizes: [6] * len(getattr(model, sizes))})
    quiet = replace(config.logging, progress=False)
    return replace(config, trainer=trainer, model=model, dataset=data, logging=quiet)


def refusal(config: Config) -> tuple[str, ...]:
    """What the checks say."""
    try:
        check_config(config)
    except ConfigError as error:
        return error.args
    return ()


def build_and_step(config: Config, folder: Path) -> Any:
    """The run after one piece of training."""
    check_config(config)
    run = build_run(config, folder)
    before = copy.deepcopy(run.state.model.state_dict())
    run.advance(MagicMock(**{"wants_health.return_value": False}))
    after = run.state.model.state_dict()
    assert run.started()
    assert list(after) == list(before)
    assert all(tensor.isfinite().all() for tensor in after.values())
    return run


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiment_with_any_other_model_neuron_or_data_set_trains_or_is_refused_with_what_would_fit(
    experiment: str, composed: dict[str, Config], options: dict[str, dict[str, Option]], tmp_path: Path
) -> None:
    fitting = []
    for group in SWAPPED:
        for name, one in options[group].items():
            config = replace(composed[experiment], **{group: one})
            refused = refusal(config)
            assert all(" needs " in text and text.endswith(" does") and "\n" not in text for text in refused), refused
            if refused:
                continue
            fitting.append(f"{group}={name}")
            if config.dataset.option in GENERATED:
                build_and_step(small(config, tmp_path), tmp_path / group / name)
    local, pattern = {f"neuron={name}" for name in TRACES}, {f"neuron={name}" for name in SPIKING}
    local |= {f"model={name}" for name in CONVOLUTIONS} | {f"dataset={name}" for name in RECORDINGS}
    pattern |= {"dataset=pattern", "dataset=pattern_quick"}
    wanted, others = (local, pattern) if composed[experiment].trainer.option == "local" else (pattern, local)
    assert wanted | {f"model={name}" for name in DENSE} <= set(fitting)
    assert not others & set(fitting)


def test_choice_on_the_command_line_is_the_option_beside_an_unchanged_experiment(
    composed: dict[str, Config], options: dict[str, dict[str, Option]]
) -> None:
    for number, experiment in enumerate(EXPERIMENTS):
        picked = {group: CHOICES[group][number % len(CHOICES[group])] for group in SWAPPED}
        cfg = compose_config([f"experiment={experiment}", *(f"{group}={name}" for group, name in picked.items())])
        expected = replace(composed[experiment], **{group: options[group][name] for group, name in picked.items()})
        assert OmegaConf.to_object(cfg) == expected


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiment_only_chooses_options_and_names_its_runs(experiment: str) -> None:
    content = yaml.safe_load((Path(config_folder()) / "experiment" / f"{experiment}.yaml").read_text())
    assert set(content) <= {"defaults", "name"}
    assert content["name"] == experiment


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_full_precision_is_one_word_for_every_experiment_and_brings_its_learning_rate(
    experiment: str, options: dict[str, dict[str, Option]], tmp_path: Path
) -> None:
    config = to_config(compose_config([f"experiment={experiment}", "quantization=full_precision"]))
    widths = {entry.name for entry in fields(config.quantization) if entry.name.endswith("_bits")} - {"rng_bits"}
    assert {getattr(config.quantization, name) for name in widths} == {None}
    if config.dataset.option not in GENERATED:
        config = replace(config, dataset=options["dataset"]["synthetic_gesture"])
    run = build_and_step(small(config, tmp_path), tmp_path)
    assert run.state.rule.lr == config.optimizer.lr_full_precision
    assert run.settings.rounding.gradient_bits is None


def test_refusal_of_a_misfit_is_told_once_for_each_need_and_names_all_groups_options() -> None:
    with pytest.raises(ConfigError) as caught:
        to_config(compose_config(["dataset=nmnist", "model=conv", "quantization.weight_bits=99"]))
    assert caught.value.args == (
        "loss=van_rossum needs a target raster, which dataset=nmnist does not give; dataset=pattern does",
        "trainer=bptt needs a target raster, which dataset=nmnist does not give; dataset=pattern does",
        "trainer=bptt needs fully connected layers, which model=conv does not give; model=feedforward does",
        "quantization.weight_bits=99 is not possible: allowed are 1..16, null for full precision, or a list of these, "
        "one a layer",
    )


def test_groups_are_those_of_the_root() -> None:
    assert set(GROUPS) < {entry.name for entry in fields(Config)}
