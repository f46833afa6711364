"""Options that go together, alone and on top of experiments, build and take a step; others are refused with what would."""

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from event_builders import write_gestures, write_heidelberg, write_nmnist, write_poker
from omegaconf import OmegaConf
from scripts_module import load_script

from qsnn.config.building.run import to_config
from qsnn.config.command_line import compose_config, group_options
from qsnn.errors import ConfigError
from qsnn.options import GROUPS, misfits, options_of
from qsnn.training.run import Run

composition, trying = load_script("write_composition"), load_script("all_combinations")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "composition.md"
SPIKING, MODELS = ("cuba_lif", "lif", "if"), ("feedforward", "recurrent", "conv")
MAPS = ("array_maps", "dvs_gesture", "event_folder", "nmnist", "slow_poker", "synthetic_gesture")
CLASSES = ("arrays", "randman", "shd", "ssc", "yin_yang", *MAPS)
Step = Callable[[list[str]], Run]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Small data sets in the real formats: what names them, by ``dataset=option``."""
    root = tmp_path_factory.mktemp("data")
    write_nmnist(root / "nmnist", train=5)
    write_gestures(root / "dvs_gesture", num_users=3)
    write_poker(root / "slow_poker")
    write_heidelberg(root / "shd", "shd", ("train", "test"))
    write_heidelberg(root / "ssc", "ssc", ("train", "valid", "test"))
    folders = {name: name for name in ("nmnist", "dvs_gesture", "slow_poker", "shd", "ssc")} | {
        "event_folder": "nmnist"
    }
    named = {f"dataset={name}": {"root": str(root / folder)} for name, folder in folders.items()}
    return named | trying.write_arrays(root)


@pytest.fixture
def step(files: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Step:
    """Compose from groups alone, make everything small, build, and take a step."""
    cache = tmp_path_factory.getbasetemp() / "composition-cache"

    def after_a_step(words: list[str]) -> Run:
        return trying.step(trying.shrunk(to_config(compose_config(words)), cache, files), tmp_path)

    return after_a_step


def failures(step: Step, tried: list[list[str]]) -> list[str]:
    """A line for each of these words that do not get through a step."""
    found = []
    for words in tried:
        try:
            step(words)
        except Exception as error:  # noqa: BLE001  whatever it is, the test tells it
            found.append(f"{' '.join(words)}: {type(error).__name__}: {error}")
    return found


def fitting() -> list[dict[str, str]]:
    """The combinations that the registry says fit."""
    schemas, chosen = {group: options_of(group) for group in GROUPS}, []
    for one in trying.combinations():
        options = [schemas[group].get(name, schemas[group].get("bits"))() for group, name in one.items()]
        if options[4].stands_for_another:
            options[4] = options[4].choose(options[5], options[3])
        chosen += [one] if not composition.missing(options) else []
    return chosen


def test_composition_page_is_what_the_script_writes() -> None:
    assert composition.page(PAGE.read_text()) == PAGE.read_text()


def test_composition_page_has_the_numbers_of_the_present_options() -> None:
    counted = re.search(r"^\| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| 0 \|$", PAGE.read_text(), re.M)
    assert counted is not None
    number, fit, built, checked = (int(text.replace(",", "")) for text in counted.groups())
    assert (number, fit) == (len([*trying.combinations()]), len(fitting()))
    assert built + checked == fit


def test_composition_page_shows_commands_that_compose() -> None:
    shown = re.findall(r"^    python -m qsnn\.train (.+)$", PAGE.read_text(), re.M)
    assert len(shown) == 4
    for words in shown:
        to_config(compose_config(words.replace("<folder>", "folder").split()))


def test_composition_page_tells_of_what_the_checks_tell_of() -> None:
    groups = composition.depending_groups()
    assert groups == ["model", "neuron", "dataset", "loss", "trainer"]
    for chosen in itertools.product(*(composition.own_options(group) for group in groups)):
        told = [text.split(", which ")[0].split(" needs ") for text in misfits(list(chosen))]
        assert [tuple(pair) for pair in told] == composition.missing(list(chosen))


def test_composition_has_every_net_on_every_data_set() -> None:
    fit = {tuple(one[group] for group in ("trainer", "model", "neuron", "dataset")) for one in fitting()}
    for model, neuron, dataset in itertools.product(MODELS, SPIKING, (*CLASSES, "pattern")):
        assert (("bptt", model, neuron, dataset) in fit) == (model != "conv" or dataset in MAPS)
    for model, dataset in itertools.product(MODELS, (*CLASSES, "pattern")):
        fits = dataset != "pattern" and model != "recurrent" and (model == "feedforward" or dataset in MAPS)
        assert (("local", model, "trace_lif", dataset) in fit) == fits
    assert set(CLASSES) | {"pattern"} == {*options_of("dataset")} - {
        name for name, one in options_of("dataset").items() if not one.__module__.startswith("qsnn.")
    }


def test_every_two_options_that_fit_are_composed_built_and_take_a_step(step: Step) -> None:
    fit = fitting()
    tried = trying.covering(fit)
    assert set().union(*map(trying.pairs_of, tried)) == set().union(*map(trying.pairs_of, fit))
    assert failures(step, [trying.words_of(one) for one in tried]) == []


OTHER_WAY = {
    "bptt": ["trainer=local", "neuron=trace_lif", "dataset=randman", "model=feedforward"],
    "local": ["trainer=bptt", "neuron=cuba_lif"],
}


@pytest.mark.parametrize("experiment", group_options()["experiment"])
def test_every_experiment_learns_the_other_way_by_overriding_groups(experiment: str, step: Step) -> None:
    found = OmegaConf.to_object(compose_config([f"experiment={experiment}"]))
    another_loss = [] if found.loss.stands_for_another else ["loss=auto"]  # of a recipe with a loss of its own
    in_floats = (
        ["quantization=icons"] if found.quantization.integer else []
    )  # the other way has Adam and exponential decays
    assert (
        step([f"experiment={experiment}", *OTHER_WAY[found.trainer.option], *another_loss, *in_floats]).state.step > 0
    )


@pytest.mark.parametrize(
    "experiment", ["gesture_demo", "gesture_small", "icons_gesture", "icons_poker", "nmnist_small"]
)
def test_local_learning_experiment_takes_the_loss_of_bptt_without_a_word(experiment: str) -> None:
    local, bptt = (
        to_config(compose_config([f"experiment={experiment}", *words])) for words in ([], OTHER_WAY["local"])
    )
    assert (local.loss.option, bptt.loss.option) == ("local_readout", "cross_entropy")


ON_TOP = (
    "experiment=nmnist_small model=recurrent trainer=bptt neuron=lif",
    "experiment=icons_gesture model=recurrent trainer=bptt neuron=if dataset=event_folder optimizer=adam",
    "experiment=gesture_demo model=feedforward loss=spike_count trainer=bptt neuron=cuba_lif quantization=full_precision",
    "experiment=gesture_demo dataset=yin_yang model=feedforward",
    "experiment=icons_poker dataset=shd model=feedforward optimizer=sgd",
    "experiment=quick dataset=ssc model=recurrent loss=cross_entropy",
    "experiment=iscas_pattern dataset=arrays optimizer=sgd",
    "experiment=pattern_full_precision dataset=array_maps model=conv neuron=lif",
    "experiment=pattern_w2_integer dataset=nmnist model=conv quantization=icons",
)


def test_groups_are_exchanged_on_top_of_experiments(step: Step) -> None:
    assert failures(step, [words.split() for words in ON_TOP]) == []


WITH_CLASSES = " or ".join(f"dataset={name}" for name in sorted(CLASSES))
WITH_MAPS = " or ".join(f"dataset={name}" for name in sorted(MAPS))
REFUSED = {
    "trainer=local neuron=trace_lif dataset=arrays model=recurrent":
        "trainer=local needs layers that learn locally, which model=recurrent does not give; "
        "model=conv or model=feedforward does",
    "trainer=local neuron=lif dataset=arrays":
        "trainer=local needs a neuron with traces of its input, which neuron=lif does not give; neuron=trace_lif does",
    "neuron=trace_lif":
        "trainer=bptt needs a neuron whose spikes carry errors back through time, which neuron=trace_lif does not give; "
        "neuron=cuba_lif or neuron=if or neuron=lif does",
    "trainer=local neuron=trace_lif loss=cross_entropy dataset=randman":
        "trainer=local needs errors at fixed readouts of the layers, which loss=cross_entropy does not give; "
        "loss=local_readout does",
    "loss=local_readout dataset=yin_yang":
        "trainer=bptt needs errors at the net's output, which loss=local_readout does not give; "
        "loss=cross_entropy or loss=spike_count or loss=van_rossum does",
    "loss=van_rossum dataset=shd":
        "loss=van_rossum needs a target raster, which dataset=shd does not give; dataset=pattern does",
    "dataset=ssc model=conv":
        f"model=conv needs maps of pixels, which dataset=ssc does not give; {WITH_MAPS} does",
    "loss=cross_entropy":
        f"loss=cross_entropy needs classes, which dataset=pattern does not give; {WITH_CLASSES} does",
    "loss=spike_count":
        f"loss=spike_count needs classes, which dataset=pattern does not give; {WITH_CLASSES} does",
    "trainer=local neuron=trace_lif": "\n".join(
        f"{needy} needs classes, which dataset=pattern does not give; {WITH_CLASSES} does"
        for needy in ("loss=local_readout", "trainer=local")
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSED)
def test_misfit_is_refused_with_what_would_fit(words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        to_config(compose_config(words.split()))
    assert caught.value.args == tuple(REFUSED[words].split("\n"))


def test_misfits_of_every_kind_are_asserted() -> None:
    page = composition.Page()
    page.text()
    asserted = {
        tuple(line.split(", which ")[0].split(" needs ")) for text in REFUSED.values() for line in text.split("\n")
    }
    assert asserted == set(page.kinds)


def test_misfits_at_once_are_told_in_one_message_beside_other_mistakes() -> None:
    with pytest.raises(ConfigError) as caught:
        to_config(compose_config(["trainer=local", "model=recurrent", "dataset=arrays", "seed=-1"]))
    assert [text.split(",")[0] for text in caught.value.args] == [
        "trainer=local needs a neuron with traces of its input",
        "trainer=local needs layers that learn locally",
        "seed=-1 is not possible: it must be at least 0 and at most 9223372036854775808",
    ]


def test_steps_of_the_script_are_of_small_nets_of_the_same_options(files: dict[str, dict[str, Any]]) -> None:
    config = to_config(compose_config(["experiment=gesture_demo", "trainer=bptt", "neuron=cuba_lif"]))
    small = trying.shrunk(config, Path("cache"), files)
    assert [getattr(small, group).option for group in GROUPS] == [getattr(config, group).option for group in GROUPS]
    assert replace(small.dataset, **vars(config.dataset)) == config.dataset
    assert small.model.channels == [4]
