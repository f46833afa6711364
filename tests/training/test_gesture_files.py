"""Generated gestures from files in the layout of the IBM release, all the way to an accuracy."""

import json
from pathlib import Path

from scripts_module import load_script

from qsnn.config.command_line import compose_config
from qsnn.config.run import start
from qsnn.data.generators.synthetic_gesture import SyntheticGesture
from qsnn.training.checkpoint import load_checkpoint

LIGHTS = ("fluorescent", "natural")  # those of gesture_demo
NET = [
    "model.channels=[4]", "model.kernel_size=[5]", "model.padding=[2]", "trainer.epochs=2",
    "trainer.batch_size=16", "dataset.window_train=0.15", "dataset.window_test=0.2", "dataset.validation_share=0.5",
    "logging.progress=false", "logging.to=[]",
]  # fmt: skip


def test_net_learns_the_same_from_files_as_from_the_generator(tmp_path: Path) -> None:
    files = tmp_path / "DvsGesture"
    load_script("write_synthetic_gestures").write_set(SyntheticGesture(2, 1, LIGHTS, 1, 0.2, 0), files, progress=False)
    sources = {
        "files": ["experiment=gesture_small", f"dataset.root={files}"],
        "generator": ["experiment=gesture_demo", "dataset.num_users=2", "dataset.num_test_users=1", "dataset.duration=0.2",
                      f"dataset.cache={tmp_path}"],
    }  # fmt: skip
    weights, summaries = [], []
    for name, dataset in sources.items():
        words = [*dataset, *NET]
        folder = tmp_path / name
        folder.mkdir()
        start(compose_config(words), folder, words)
        weights.append(load_checkpoint(folder / "checkpoints" / "last.pt")["model"])
        summaries.append(json.loads((folder / "summary.json").read_text()))
    assert summaries[0]["recordings"] == summaries[1]["recordings"] == {"train": 22, "validation": 22, "test": 22}
    assert summaries[0]["final"] == summaries[1]["final"]
    assert sum(map(sum, summaries[0]["final"]["confusion"])) == 22
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])
