"""Train from the golden weights, input and target, and hold the distances against the original program's curves.

    python scripts/golden_training.py [--seeds 0 1 2] [--epochs 150] [--golden tests/golden]

Prints a Markdown table; exit code 1 if epoch 1 differs by more than 1e-3 or a checked epoch by more than 3 %.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from qsnn.config.building.run import build_machine, to_config
from qsnn.config.command_line import compose_config, set_up

CHECKED_EPOCHS = (10, 50, 100, 150)
TOLERANCE = 0.03


def golden_curve(golden: Path, seed: int, epochs: int, folder: Path, overrides: list[str]) -> list[float]:
    """Distances of ``epochs`` epochs with the original's settings and the random streams of ``seed``."""
    vectors = np.load(golden / "pattern_full_w2s8g8e8.npz", allow_pickle=False)
    steps, inputs, _, outputs = (int(size) for size in vectors["shape"])
    for name, width in (("x", inputs), ("y", outputs)):
        raster = np.unpackbits(vectors[name])[: steps * width].reshape(steps, width)
        np.save(folder / f"{name}.npy", raster.T if name == "x" else raster)
    data = [f"dataset.input={folder}/x.npy", f"dataset.target={folder}/y.npy"]
    config = to_config(compose_config(["experiment=iscas_pattern", f"seed={seed}", *data, *overrides]))
    run = config.trainer.build_run(config, build_machine(config), folder, {})
    with torch.no_grad():
        for linear, name in zip(run.state.model.weights().values(), ("w1", "w2"), strict=True):
            linear.weight.copy_(torch.from_numpy(vectors[name]))
    return [run.learn_batch()[0].loss for _ in range(epochs)]


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--golden", type=Path, default=Path("tests/golden"))
    parser.add_argument("overrides", nargs="*", help="config overrides, such as kernels=eager")
    options = parser.parse_args()
    set_up()
    curves = np.array(json.loads((options.golden / "pattern_training.json").read_text())["curves"])
    mean = curves.mean(axis=0)
    print(
        "| epoch | original, mean of 3 | " + " | ".join(f"seed {s}" for s in options.seeds) + " | largest deviation |"
    )
    print("|---|---|" + "---|" * (len(options.seeds) + 1))
    with tempfile.TemporaryDirectory() as folder:
        ours = np.array(
            [golden_curve(options.golden, s, options.epochs, Path(folder), options.overrides) for s in options.seeds]
        )
    good = bool(np.abs(ours[:, 0] - curves[0, 0]).max() <= 1e-3)
    for epoch in (1, *CHECKED_EPOCHS):
        if epoch > options.epochs:
            continue
        deviation = np.abs(ours[:, epoch - 1] / mean[epoch - 1] - 1).max()
        good &= bool(deviation <= TOLERANCE)
        cells = " | ".join(f"{value:.3f}" for value in ours[:, epoch - 1])
        print(f"| {epoch} | {mean[epoch - 1]:.3f} | {cells} | {deviation:.2%} |")
    print("\nall within bounds" if good else "\nOUT OF BOUNDS")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
