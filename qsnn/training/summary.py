"""summary.json and the table at the end of a run: what was reached, with what, at what cost in memory and time."""

import json
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from qsnn import __version__
from qsnn.models import PatternNet
from qsnn.training.checkpoint import write_atomically
from qsnn.training.loop import Outcome

FULL_PRECISION_BITS = 32
LIBRARIES = ("torch", "numpy", "hydra-core", "omegaconf", "tensorboard", "numba")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` atomically."""
    text = json.dumps(content, indent=2) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def library_versions() -> dict[str, str]:
    """Versions of this package and of the libraries that its numbers depend on."""
    versions = {"qsnn": __version__}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def git_commit() -> str | None:
    """Commit of the source tree that the code runs from, with "+" if it has changes; None if it is installed."""
    tree = Path(__file__).resolve().parents[2]
    if not (tree / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(tree), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def memory_bytes(model: PatternNet) -> dict[str, float]:
    """Bytes of the weights and of the neurons' state at their bit widths (32 bits where full precision), batch 1."""
    parameters = state = 0
    for name, linear in model.linears().items():
        dynamics = getattr(model, name).lif.dynamics
        parameters += linear.weight.numel() * (linear.weight_bits or FULL_PRECISION_BITS)
        widths = (dynamics.synapse_bits, dynamics.membrane_bits)
        state += linear.weight.shape[1] * sum(bits or FULL_PRECISION_BITS for bits in widths)
    return {"parameters": parameters / 8, "state": state / 8}


def summary_table(outcome: Outcome, epochs: int, memory: dict[str, float], silent_distance: float) -> str:
    """The few numbers that a reader wants first, aligned."""
    final, best = outcome.final, outcome.best
    per_epoch = 1000 * outcome.seconds / max(1, epochs)
    rows = [
        ("status", outcome.status),
        ("epochs", f"{epochs}"),
        ("final distance", f"{final['distance']:.2f}  ({final['relative_distance']:.1%} of a silent net's)"),
        ("best distance", f"{best['distance']:.2f}  ({best['relative_distance']:.1%}), epoch {best['epoch']:.0f}"),
        ("silent net's distance", f"{silent_distance:.2f}"),
        ("firing rates", f"hidden {final['rate_hidden']:.2%}, output {final['rate_output']:.2%} of all steps"),
        ("memory", f"weights {memory['parameters'] / 1024:.1f} KiB, neuron state {memory['state'] / 1024:.2f} KiB"),
        ("time", f"{outcome.seconds:.1f} s, {per_epoch:.1f} ms an epoch"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)
