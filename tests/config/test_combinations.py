"""Every experiment with every other model, neuron and data set: it fits and trains, or one line says what is missing."""

import copy
from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml
from helpers import QUIET
from omegaconf import OmegaConf
from scripts_module import load_script

from qsnn.config.building.run import build_run, to_config
from qsnn.config.checking.checks import check_config
from qsnn.config.command_line import compose_config, group_options
from qsnn.config.paths import config_folder
from qsnn.config.schema import Config
from qsnn.errors import ConfigError
from qsnn.options import GROUPS, Option
from qsnn.training.run import Run

trying = load_script("all_combinations")
CHOICES = group_options()
EXPERIMENTS = CHOICES["experiment"]
SWAPPED = ("model", "neuron", "dataset")
TRACES = ("trace_lif", "traces_30ms", "traces_30ms_integer", "traces_60ms")
PATTERNS = ("pattern", "pattern_quick")
MAPS = (
    "array_maps", "dvs_gesture", "dvs_gesture_small", "event_folder", "gesture_bptt", "gesture_conv", "gesture_demo", "nmnist",
    "nmnist_bptt", "nmnist_conv", "nmnist_small", "objects", "slow_poker", "synthetic_gesture",
)  # fmt: skip
GENERATED = ("pattern", "synthetic_gesture", "randman", "yin_yang")


@pytest.fixture(scope="module")
def composed() -> dict[str, Config]:
    """Every experiment, as its files set it."""
    return {name: OmegaConf.to_object(compose_config([f"experiment={name}"])) for name in EXPERIMENTS}  # type: ignore[misc]


@pytest.fixture(scope="module")
def options() -> dict[str, dict[str, Option]]:
    """Every choice of the groups that are swapped, as its file sets it."""
    return {
        group: {name: OmegaConf.to_object(compose_config([f"{group}={name}"])[group]) for name in CHOICES[group]}  # type: ignore[misc]
        for group in SWAPPED
    }


def settled(config: Config, **chosen: Option) -> Config:
    """A copy with other options, and what follows from these, as `to_config` has it, unchecked."""
    config = replace(copy.deepcopy(config), **copy.deepcopy(chosen))
    if config.loss.stands_for_another:
        config.loss = config.loss.choose(config.trainer, config.dataset)
    config.trainer.settle(config)
    return config


def refusal(config: Config) -> tuple[str, ...]:
    """What the checks say."""
    try:
        check_config(config)
    except ConfigError as error:
        return error.args
    return ()


def build_and_step(config: Config, folder: Path) -> Run:
    """The run, with few neurons, few recordings and short windows, after its first piece of training."""
    small = trying.shrunk(config, folder / "cache", {})
    check_config(small)
    run = build_run(small, folder)
    before = copy.deepcopy(run.state.model.state_dict())
    run.advance(QUIET)
    after = run.state.model.state_dict()
    assert run.started()
    assert list(after) == list(before)
    assert all(tensor.isfinite().all() for tensor in after.values())
    return run


def fits(config: Config, group: str, name: str) -> bool:
    """Whether an option goes with the rest of an experiment: what the two ways to learn, and maps, allow."""
    if group == "neuron":
        return (name in TRACES) == (config.trainer.option == "local")
    if group == "model":
        convolutional = name in (
            "conv",
            "gesture_conv",
            "gesture_small",
            "nmnist_conv",
            "nmnist_integer",
            "nmnist_small",
        )
        local = config.trainer.option == "local"
        return not (name in ("recurrent", "shd") and local) and (not convolutional or config.dataset.option in MAPS)
    if name in PATTERNS:
        return config.trainer.option == "bptt" and config.loss.option in ("auto", "van_rossum")
    return name in MAPS or config.model.option != "conv"


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiment_with_any_other_model_neuron_or_data_set_trains_or_is_refused_with_what_would_fit(
    experiment: str, composed: dict[str, Config], options: dict[str, dict[str, Option]], tmp_path: Path
) -> None:
    for group in SWAPPED:
        for name, one in options[group].items():
            config = settled(composed[experiment], **{group: one})
            refused = refusal(config)
            misfit = [text for text in refused if " needs " in text and text.endswith(" does")]
            assert bool(misfit) == (not fits(composed[experiment], group, name)), (group, name, refused)
            assert all("\n" not in text for text in refused)
            if not refused and config.dataset.option in GENERATED:
                build_and_step(config, tmp_path / group / name)


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
    config: Config = OmegaConf.to_object(compose_config([f"experiment={experiment}", "quantization=full_precision"]))  # type: ignore[assignment]
    widths = {entry.name for entry in fields(config.quantization) if entry.name.endswith("_bits")} - {
        "rng_bits",
        "surrogate_bits",
    }
    assert {getattr(config.quantization, name) for name in widths} == {None}
    generated = config.dataset.option in GENERATED
    run = build_and_step(
        settled(config, **({} if generated else {"dataset": options["dataset"]["synthetic_gesture"]})), tmp_path
    )
    assert run.state.rule.lr == config.optimizer.lr_full_precision
    assert {rounding.gradient_bits for rounding in run.settings.rounding.values()} == {None}


def test_refusal_of_a_misfit_is_told_once_for_each_need_and_names_all_groups_options() -> None:
    with pytest.raises(ConfigError) as caught:
        to_config(compose_config(["loss=van_rossum", "dataset=shd", "model=conv", "quantization.weight_bits=99"]))
    assert [text.split(";")[0] for text in caught.value.args[:2]] == [
        "model=conv needs maps of pixels, which dataset=shd does not give",
        "loss=van_rossum needs a target raster, which dataset=shd does not give",
    ]
    assert caught.value.args[2:] == (
        "quantization.weight_bits=99 is not possible: allowed are 1..16, null for full precision, or a list of these, "
        "one a layer",
    )


def test_groups_are_those_of_the_root() -> None:
    assert set(GROUPS) < {entry.name for entry in fields(Config)}
