"""Small data sets of events for the tests of local learning, and runs on them."""

from pathlib import Path

import numpy as np
from event_builders import write_gestures, write_heidelberg, write_nmnist, write_poker

from qsnn.config.building.run import build_run, to_config
from qsnn.config.command_line import compose_config
from qsnn.training.run import Run

SMALL_NET = [
    "model.channels=[4,6]", "model.kernel_size=[5,3]", "model.padding=[2,1]", "model.pooling=[2,1]",
    "trainer.weight_mult=[1e-3,4e-4]", "trainer.readout_amplitude=4",
]  # fmt: skip
SMALL_LOCAL = [
    "experiment=icons_gesture", "dataset=nmnist", *SMALL_NET, "dataset.downsample=4", "dataset.window_train=0.03",
    "dataset.window_test=0.03", "trainer.burn_in=0.01", "trainer.epochs=3", "trainer.batch_size=10", "logging.progress=false",
]  # fmt: skip
WRITERS = {
    "nmnist": write_nmnist,
    "event_folder": write_nmnist,  # whose folders are named by class too
    "dvs_gesture": write_gestures,
    "slow_poker": write_poker,
    "shd": lambda root: write_heidelberg(root, "shd", ("train", "test")),
    "ssc": lambda root: write_heidelberg(root, "ssc", ("train", "valid", "test")),
}
SMALL_GENERATED = {
    "synthetic_gesture": ["num_users=2", "num_test_users=1", "lights=[led]", "duration=0.1", "validation_share=0.5"],
    "randman": ["num_classes=2", "samples_per_class=20", "num_units=8"],
    "yin_yang": ["num_train=30", "num_test=10"],
}
ARRAYS = {"arrays": (6,), "array_maps": (2, 8, 8)}


def write_arrays(file: Path, shape: tuple[int, ...]) -> None:
    """Twelve rasters of three classes, of 100 ms."""
    rng = np.random.default_rng(0)
    np.savez(file, spikes=rng.random((12, 100, *shape)) < 0.2, step=0.001, labels=np.arange(12) % 3)


def data_folder(root: Path, dataset: str) -> list[str]:
    """Overrides that name the small data set in ``root``, which is written there first if it is missing."""
    if dataset in SMALL_GENERATED:
        return [f"dataset.{entry}" for entry in (*SMALL_GENERATED[dataset], f"cache={root}")]
    if dataset in ARRAYS:
        write_arrays(root / f"{dataset}.npz", ARRAYS[dataset])
        return [f"dataset.file={root / dataset}.npz", f"dataset.cache={root / 'cache'}"]
    folder = root / dataset
    if not folder.exists():
        WRITERS[dataset](folder)
    return [f"dataset.root={folder}", f"dataset.cache={root / 'cache'}", "logging.progress=false"]


def make_local_run(folder: Path, data: Path, *overrides: str) -> Run:
    """A small run on small N-MNIST files, built but not started."""
    words = [*SMALL_LOCAL, *data_folder(data, "nmnist"), *overrides]
    folder.mkdir(parents=True, exist_ok=True)  # as a start does
    return build_run(to_config(compose_config(words)), folder)
