"""What quantizing after training costs: trained at b bits, quantized to b bits after training in full precision, fine-tuned.

python scripts/after_training.py dataset.root=DATA [--bits 1 2 3 4 8] [--folds 5] [--seeds 1] [--fine-tune 5] [key=value ...]

Trains experiment=nmnist_bptt in full precision for every fold and seed, begins runs at b-bit weights (all else as the
experiment has it) with its weights, and trains the same from fresh ones. Prints a table of test accuracies: mean over the
folds and seeds, and the standard error of that many test recordings. Runs lie in outputs/after_training/ and are not
repeated if they are there.
"""

import argparse
import json
import math
import statistics
from pathlib import Path
from typing import Any

import qsnn

FOLDER = Path("outputs/after_training")


def trained(name: str, words: list[str]) -> dict[str, Any]:
    """summary.json of the run of that name, which is trained unless it has finished."""
    folder = FOLDER / name
    path = folder / "summary.json"
    if path.exists():
        summary: dict[str, Any] = json.loads(path.read_text())
        if summary["status"] == "finished":
            return summary
    quiet = ["logging.progress=false", "logging.to=[]", "logging.health_every=0"]
    return qsnn.run(["experiment=nmnist_bptt", *words, *quiet, f"hydra.run.dir={folder}"]).summary


def accuracy(summary: dict[str, Any]) -> float:
    """Test accuracy of the best weights or, where none are chosen, of the last."""
    return float((summary.get("best") or summary["final"])["test_accuracy"])


def measure(bits: int, fold: int, seed: int, words: list[str], fine_tune: int) -> dict[str, float]:
    """Test accuracies of the three ways to b bits, and of full precision."""
    place = [f"dataset.fold={fold}", f"seed={seed}", *words]
    source = f"full/fold{fold}_seed{seed}"
    full = trained(source, [*place, "quantization=full_precision"])
    width, start = f"quantization.weight_bits={bits}", f"start_from={FOLDER / source}"
    name = f"bits{bits}/fold{fold}_seed{seed}"
    return {
        "full precision": accuracy(full),
        "trained": accuracy(trained(f"trained/{name}", [*place, width])),
        "quantized after": accuracy(trained(f"quantized/{name}", [*place, width, start, "trainer.epochs=0"])),
        "fine-tuned": accuracy(trained(f"fine_tuned/{name}", [*place, width, start, f"trainer.epochs={fine_tune}"])),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--bits", nargs="+", type=int, default=[1, 2, 3, 4, 8])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--fine-tune", type=int, default=5, help="epochs")
    arguments = parser.parse_intermixed_args()
    words, places = [*arguments.overrides, f"dataset.num_folds={arguments.folds}"], []
    places = [(fold, seed) for seed in range(arguments.seeds) for fold in range(arguments.folds)]
    ways = ("full precision", "trained", "quantized after", "fine-tuned")
    print("| weight bits | " + " | ".join(ways) + " |\n|---|" + "---|" * len(ways))
    for bits in arguments.bits:
        found = [measure(bits, *place, words, arguments.fine_tune) for place in places]
        means = [statistics.mean(one[way] for one in found) for way in ways]
        print(f"| {bits} | " + " | ".join(f"{100 * mean:.1f}" for mean in means) + " |", flush=True)
    full = [trained(f"full/fold{fold}_seed{seed}", []) for fold, seed in places if seed == 0]
    tested = sum(sum(map(sum, summary["final"]["confusion"])) for summary in full)
    print(f"\nstandard error of {tested} test recordings, at 90 %: {100 * math.sqrt(0.09 / tested):.1f} %")


if __name__ == "__main__":
    main()
