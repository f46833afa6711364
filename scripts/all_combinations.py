"""Try all combinations of options: which fit, and whether each that does builds and learns; for docs/composition.md.

python scripts/all_combinations.py [--pairs]

Nets, data and windows are tiny, kernels plain torch. Data sets that would have to be downloaded are checked, not built.
"""

import argparse
import itertools
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from omegaconf import OmegaConf

from qsnn.config.building.run import build_run
from qsnn.config.checking.checks import check_config
from qsnn.config.command_line import set_up
from qsnn.config.composition import compose_config
from qsnn.config.schema import Config
from qsnn.errors import ConfigError
from qsnn.options import GROUPS, Option, options_of
from qsnn.training.run import Run

INDIFFERENT = ("quantization", "optimizer")  # whose options neither give nor need anything
QUANTIZATIONS = ("bits", "full_precision", "icons")  # one option, whose files differ in what is a float
Combination = dict[str, str]
"""A choice for each group."""
MOST_UPDATES = 20
TINY: dict[str, dict[str, Any]] = {
    "model=feedforward": {"hidden": [5]},
    "model=recurrent": {"hidden": [5]},
    "model=conv": {"channels": [4], "kernel_size": [3], "padding": [1], "pooling": [2], "stride": [1]},
    "trainer=bptt": {"epochs": MOST_UPDATES, "batch_size": 4},
    "trainer=local": {"epochs": MOST_UPDATES, "batch_size": 4, "burn_in": 0.004, "weight_mult": [1e-3]},
    "dataset=pattern": {"num_inputs": 12, "num_outputs": 8, "num_steps": 20},
    "dataset=randman": {"num_classes": 2, "samples_per_class": 8, "num_units": 6, "test_share": 0.25},
    "dataset=yin_yang": {"num_train": 8, "num_test": 4},
    "dataset=synthetic_gesture": {
        "num_users": 2, "num_test_users": 1, "lights": ["led"], "duration": 0.1, "downsample": 16, "validation_share": 0.5,
    },
    "dataset=nmnist": {"downsample": 4},
    "dataset=dvs_gesture": {"downsample": 16},
    "dataset=slow_poker": {"downsample": 16},
    "dataset=event_folder": {"downsample": 4},
}  # fmt: skip
WINDOW = 0.025  # s, of recordings


def write_arrays(folder: Path) -> dict[str, dict[str, Any]]:
    """Small files for the data sets of arrays; what names them, by ``dataset=option``."""
    rng, labels, keys = np.random.default_rng(0), np.arange(12) % 3, {}
    for name, shape in {"arrays": (6,), "array_maps": (2, 8, 8)}.items():
        file = folder / f"{name}.npz"
        np.savez(file, spikes=rng.random((len(labels), 25, *shape)) < 0.2, step=0.001, labels=labels)
        keys[f"dataset={name}"] = {"file": str(file)}
    return keys


def choices() -> dict[str, list[str]]:
    """What is combined: every registered option of this tree; of quantization some files."""
    names = {
        group: [name for name, schema in options_of(group).items() if schema.__module__.startswith("qsnn.")]
        for group in GROUPS
    }
    return {**names, "quantization": list(QUANTIZATIONS)}


def combinations() -> Iterator[Combination]:
    """All of them."""
    named = choices()
    for chosen in itertools.product(*named.values()):
        yield dict(zip(named, chosen, strict=True))


def pairs_of(combination: Combination) -> set[tuple[str, str]]:
    """Every two of its choices."""
    return set(itertools.combinations([f"{group}={name}" for group, name in combination.items()], 2))


def covering(wanted: list[Combination]) -> list[Combination]:
    """Few of these, in which every two choices that meet anywhere meet: at each turn the one with most new pairs."""
    left = set().union(*(pairs_of(one) for one in wanted))
    kept, gains = [], [(len(pairs_of(one)), one) for one in wanted]
    while left:
        best, chosen = -1, gains[0][1]
        for number, (bound, one) in enumerate(gains):
            if bound > best:  # a gain never grows: what was found earlier bounds it
                gain = len(pairs_of(one) & left)
                gains[number] = (gain, one)
                best, chosen = max((best, chosen), (gain, one), key=lambda entry: entry[0])
        kept.append(chosen)
        left -= pairs_of(chosen)
    return kept


def words_of(combination: Combination) -> list[str]:
    """On the command line."""
    return [f"{group}={name}" for group, name in combination.items()]


class Parts:
    """Configs of combinations, of which each choice is composed only once."""

    def __init__(self) -> None:
        self._base = cast(Config, OmegaConf.to_object(compose_config([])))
        self._options = {
            (group, name): cast(Option, OmegaConf.to_object(compose_config([f"{group}={name}"])[group]))
            for group, names in choices().items()
            for name in names
        }

    def config(self, combination: Combination) -> Config:
        """Not checked; ``loss=auto`` has taken a loss, as `to_config` does."""
        chosen: dict[str, Any] = {group: replace(self._options[group, name]) for group, name in combination.items()}
        config = replace(self._base, **chosen)
        if config.loss.stands_for_another:
            config.loss = config.loss.choose(config.trainer, config.dataset)
        config.trainer.settle(config)
        return config


def shrunk(config: Config, folder: Path, files: dict[str, dict[str, Any]]) -> Config:
    """The same config with tiny nets, data and windows. ``files``: what names the files of data sets, by ``dataset=option``."""
    changed: dict[str, Any] = {}
    for group in ("model", "trainer", "dataset"):
        one = getattr(config, group)
        name = f"{group}={one.option}"
        has = {entry.name for entry in fields(one)}
        small = {**TINY.get(name, {}), **files.get(name, {})}
        window = max(WINDOW, 5 * config.neuron.dt)
        small |= {"cache": str(folder), "window_train": window, "window_test": window} if "window_test" in has else {}
        small |= {"piece_duration": 0.09} if getattr(one, "piece_duration", None) else {}  # the files are short
        changed[group] = replace(one, **small)
    quiet = replace(config.logging, progress=False, to=[])
    return replace(config, kernels="eager", logging=quiet, **changed)


class Silent:
    """Is told everything, wants nothing."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments, **named: False


def step(config: Config, folder: Path) -> Run:
    """The run after its first update that moves a weight: of a few small gradients all may be rounded to 0.

    Raises ConfigError and DataError, and AssertionError for weights that are not finite, or none of which moves.
    """
    check_config(config)
    run = build_run(config, folder)
    model = run.state.model
    before = {name: tensor.detach().clone() for name, tensor in model.trained_tensors().items()}
    for _ in range(MOST_UPDATES):
        run.advance(cast(Any, Silent()))
        if not all(tensor.isfinite().all() for tensor in model.state_dict().values()):
            raise AssertionError("a weight is not finite")
        if not all(torch.equal(before[name], tensor) for name, tensor in model.trained_tensors().items()):
            return run
    raise AssertionError(f"no weight moved in {MOST_UPDATES} updates")


def fits(config: Config) -> bool:
    """What the checks say; other reasons than a misfit are errors of this script."""
    try:
        check_config(config)
    except ConfigError as error:
        strange = [text for text in error.args if " needs " not in text or not text.endswith(" does")]
        if strange:
            raise
        return False
    return True


def fitting(parts: Parts) -> tuple[list[Combination], int]:
    """The combinations that fit, and how many there are in all."""
    fit, verdicts = [], dict[tuple[str, ...], bool]()
    for one in combinations():
        depends = tuple(name for group, name in one.items() if group not in INDIFFERENT)
        if depends not in verdicts:
            verdicts[depends] = fits(parts.config(one))
        fit += [one] if verdicts[depends] else []
    return fit, math.prod(map(len, choices().values()))


def try_all(tried: list[Combination], parts: Parts, folder: Path) -> tuple[Counter[str], list[str]]:
    """Step each: how many were, by data set, 0 for those whose files are not there; and a line for each that failed."""
    stepped, failed, files = Counter[str](), [], write_arrays(folder)
    for one in tried:
        config = shrunk(parts.config(one), folder / "cache", files)
        absent = hasattr(config.dataset, "root") and config.dataset.root is None
        stepped[one["dataset"]] += not absent
        try:
            if absent:
                check_config(config)
            else:
                step(config, folder)
        except Exception as error:  # noqa: BLE001  whatever it is, it is told
            failed.append(f"{' '.join(words_of(one))}: {type(error).__name__}: {error}")
    return stepped, failed


def main() -> None:
    """Count, and step."""
    parser = argparse.ArgumentParser(description="Try all combinations of options.")
    parser.add_argument("--pairs", action="store_true", help="of what fits only so many that every pair is among them")
    given = parser.parse_args()
    set_up()
    started, parts = time.monotonic(), Parts()
    fit, number = fitting(parts)
    print(f"{number} combinations: {len(fit)} fit, {number - len(fit)} do not")
    tried = covering(fit) if given.pairs else fit
    with tempfile.TemporaryDirectory() as temporary:
        stepped, failed = try_all(tried, parts, Path(temporary))
    minutes = math.ceil((time.monotonic() - started) / 60)
    print(f"{len(tried)} tried in {minutes} min, {stepped.total()} built and stepped, {len(failed)} failed")
    print(", ".join(f"{name} {count or 'checked only'}" for name, count in sorted(stepped.items())))
    print("\n".join(failed))


if __name__ == "__main__":
    main()
