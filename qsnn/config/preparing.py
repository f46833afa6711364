"""What `qsnn.prepare` does: a config to the cache of its data set, and a table of what is in it."""

from collections.abc import Iterator

import numpy as np
from omegaconf import DictConfig, OmegaConf

from qsnn.config.command_line import compose_config, parse_overrides
from qsnn.config.search_path import note_search_path
from qsnn.data.events.dataset import EventDataset
from qsnn.data.events.options import Recordings
from qsnn.data.events.split import Split
from qsnn.errors import ConfigError
from qsnn.options import value_problems


def prepare(arguments: list[str]) -> str:
    """Prepare the data set of the config that ``arguments`` (overrides) compose. Returns the table.

    Raises ConfigError and DataError.
    """
    arguments = note_search_path(arguments)
    parse_overrides(arguments)
    cfg = compose_config(arguments, others=wrong_data)
    dataset = OmegaConf.to_object(cfg.dataset)
    if not isinstance(dataset, Recordings):
        raise ConfigError("this dataset needs no preparation: choose one of events, such as dataset=nmnist")
    wrong = tuple(wrong_data(cfg))
    if wrong:
        raise ConfigError(*wrong)
    prepared = dataset.prepare(cfg.logging.progress)
    return summary(prepared, dataset.split(prepared))


def wrong_data(cfg: DictConfig) -> Iterator[str]:
    """What is wrong with the data set; the rest of a run's config is not looked at."""
    dataset = OmegaConf.to_object(cfg.dataset)
    if isinstance(dataset, Recordings):
        yield from (*value_problems(dataset, "dataset."), *dataset.problems(), *dataset.problems_at(cfg.neuron.dt))


def summary(dataset: EventDataset, parts: Split) -> str:
    """Recordings of each class in each part of the split, events, the reader's remarks, bytes, and where the cache lies."""
    counts = [np.bincount(dataset.labels[part], minlength=len(dataset.classes)) for part in parts]
    width = max(len(name) for name in (*dataset.classes, "recordings"))
    rows = [f"{'recordings':{width}} " + "".join(f"{name:>12}" for name in Split._fields)]
    for label, name in enumerate(dataset.classes):
        rows.append(f"{name:{width}} " + "".join(f"{count[label]:>12}" for count in counts))
    rows.append(f"{'all':{width}} " + "".join(f"{len(part):>12}" for part in parts))
    seconds = dataset.durations / 1e6
    size = sum(path.stat().st_size for path in dataset.folder.iterdir())
    rows += [
        "",
        f"{len(dataset.time):,} events in {dataset.num_recordings:,} recordings of {seconds.min():.3g} to "
        f"{seconds.max():.3g} s on {dataset.sensor[1]} x {dataset.sensor[0]} pixels",
        *(f"in the files: {count:,} {name}" for name, count in dataset.remarks.items()),
        f"{size:,} bytes in {dataset.folder}",
    ]
    return "\n".join(rows)
