"""summary.json and the table at the end of a run: what was reached, with what, at what cost in memory and time."""

import math
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from qsnn import __version__
from qsnn.models import FeedforwardNet
from qsnn.models.local_net import LocalNet
from qsnn.training.loop import TOLD_FROM, Outcome

FULL_PRECISION_BITS = 32
LIBRARIES = ("torch", "numpy", "hydra-core", "omegaconf", "tensorboard", "numba")


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


def pattern_memory(model: FeedforwardNet) -> dict[str, float]:
    """Bytes of the weights and of the neurons' state at their bit widths (32 bits where full precision), batch 1."""
    parameters = state = 0
    for layer in model.layers.values():
        linear, dynamics = layer.linear, layer.lif.dynamics
        parameters += linear.weight.numel() * (linear.weight_bits or FULL_PRECISION_BITS)
        widths = (dynamics.synapse_bits, dynamics.membrane_bits)
        state += linear.weight.shape[1] * sum(bits or FULL_PRECISION_BITS for bits in widths)
    return {"parameters": parameters / 8, "state": state / 8}


def local_memory(model: LocalNet) -> dict[str, float]:
    """The same of a net that learns locally: weights and biases; traces P and Q, refractory state R and membrane U."""
    parameters = state = 0
    for layer in model.named_layers().values():
        s = layer.settings
        parameters += (layer.weight.numel() + layer.bias.numel()) * (s.weight_bits or FULL_PRECISION_BITS)
        traces = (s.membrane_trace_bits, s.synapse_trace_bits)
        state += layer.tau_mem.numel() * sum(bits or FULL_PRECISION_BITS for bits in traces)
        neuron = (s.refractory.refractory_bits, s.refractory.membrane_bits)
        state += math.prod(layer.output_shape()) * sum(bits or FULL_PRECISION_BITS for bits in neuron)
    return {"parameters": parameters / 8, "state": state / 8}


def table(rows: list[tuple[str, str]]) -> str:
    """Names and values, aligned."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


def _common_rows(
    outcome: Outcome, epochs: int, memory: dict[str, float], code_bits: dict[str, int]
) -> list[tuple[str, str]]:
    per_epoch, wait = 1000 * outcome.seconds / max(1, epochs), outcome.seconds_start
    start = f", after {wait:.1f} s in which kernels were compiled or loaded" if wait >= TOLD_FROM else ""
    seen = ", ".join(f"{name} {bits} bits" for name, bits in code_bits.items())
    return [
        *([("widest gradients", f"{seen}, as integers")] if seen else []),
        ("memory", f"weights {memory['parameters'] / 1024:.1f} KiB, neuron state {memory['state'] / 1024:.2f} KiB"),
        ("time", f"{outcome.seconds:.1f} s, {per_epoch:.1f} ms an epoch{start}"),
    ]


def pattern_table(
    outcome: Outcome, epochs: int, memory: dict[str, float], silent_distance: float, code_bits: dict[str, int]
) -> str:
    """The few numbers of a pattern run that a reader wants first."""
    final, best = outcome.final, outcome.best
    rates = [(key.removeprefix("rate_"), value) for key, value in final.items() if key.startswith("rate_")]
    rows = [
        ("status", outcome.status),
        ("epochs", f"{epochs}"),
        ("final distance", f"{final['distance']:.2f}  ({final['relative_distance']:.1%} of a silent net's)"),
    ]
    rows += (
        [
            ("best distance", f"{best['distance']:.2f}  ({best['relative_distance']:.1%}), epoch {best['epoch']:.0f}"),
        ]
        if best
        else []
    )
    rows += [
        ("silent net's distance", f"{silent_distance:.2f}"),
        ("firing rates", f"{', '.join(f'{name} {rate:.2%}' for name, rate in rates)} of all steps"),
    ]
    return table(rows + _common_rows(outcome, epochs, memory, code_bits))


def _accuracies(scores: dict[str, Any]) -> str:
    """In test and in validation, as far as they are known."""
    layers = ", ".join(f"{value:.1%}" for key, value in scores.items() if key.startswith("test_accuracy_"))
    text = f"test {scores['test_accuracy']:.1%} (by layer {layers})" if layers else "not tested"
    if "validation_accuracy" in scores:
        text += f"; validation {scores['validation_accuracy']:.1%}"
    return text + (f", epoch {scores['epoch']}" if "epoch" in scores else "")


def local_table(
    outcome: Outcome, epochs: int, memory: dict[str, float], parts: dict[str, int], code_bits: dict[str, int]
) -> str:
    """The few numbers of a run of local learning that a reader wants first. ``parts``: recordings of each split."""
    rows = [("status", outcome.status), ("epochs", f"{epochs}")]
    rows += [("recordings", ", ".join(f"{count} {name}" for name, count in parts.items()))]
    rows += [("last weights", _accuracies(outcome.final))]
    if outcome.best:
        rows.append(("best weights", _accuracies(outcome.best)))
    elif not parts["validation"]:
        rows.append(("best weights", "none: there is no validation part to choose them by (dataset.validation_share)"))
    rates = ", ".join(
        f"{value:.1%}" for key, value in (outcome.best or outcome.final).items() if key.startswith("rate_")
    )
    if rates:
        rows.append(("firing rates", f"{rates} of all steps, by layer"))
    return table(rows + _common_rows(outcome, epochs, memory, code_bits))
