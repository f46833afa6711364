"""How far errors of few bits turn the gradient: its direction beside that of errors in floats, on the weights of a run.

python scripts/gradient_directions.py experiment=yin_yang start_from=outputs/yin_yang/<time> [--bits 2 3 4 8] [key=value ...]

For each width of the errors and each layer the cosine of the angle between two gradients of the same training samples, weights
and spikes, one with errors of that width and one with errors in floats: 1 where rounding changes nothing but its length, 0
where nothing is left of its direction. Mean over batches. Nothing is learned and nothing is written; a run of one epoch
(trainer.epochs=1) gives weights at which learning begins.
"""

import argparse
import itertools
import statistics
from pathlib import Path
from typing import Any

import torch

from qsnn.command import fail
from qsnn.config.building.run import build_run, to_config
from qsnn.config.command_line import compose_config, parse_overrides, set_up
from qsnn.config.start_from import begin_with_source
from qsnn.errors import ConfigError, QsnnError

Gradients = dict[str, torch.Tensor]


def gradients(overrides: list[str], bits: int | None, batches: int) -> list[Gradients]:
    """By the name of a weight its gradient in each of the first batches of an epoch. Raises QsnnError."""
    width = f"quantization.error_bits={'null' if bits is None else bits}"
    words = [*overrides, width, "logging.progress=false"]
    parse_overrides(words)
    config = to_config(compose_config(words))
    if config.trainer.option != "bptt" or config.start_from is None:
        raise ConfigError(
            "gradients are of nets that learn by trainer=bptt, and of a run: start_from=outputs/<experiment>/<time>"
        )
    run = build_run(config, Path("unused"))
    begin_with_source(run, config)
    learner: Any = run.learner
    found = []
    for batch in itertools.islice(run.task.batches(1, 0), batches):
        found.append(run.state.model.gradients(batch[0].float(), batch[1], learner.loss).weights)
    return found


def cosines(some: list[Gradients], others: list[Gradients]) -> dict[str, float]:
    """By the name of a weight, the mean over batches; 0 where a gradient is 0."""
    return {
        name: statistics.mean(_cosine(one[name], other[name]) for one, other in zip(some, others, strict=True))
        for name in some[0]
    }


def _cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    return torch.nn.functional.cosine_similarity(one.flatten().double(), other.flatten().double(), dim=0).item()


def table(overrides: list[str], widths: list[int], batches: int) -> str:
    """Markdown: a line for each width. Raises QsnnError."""
    exact = gradients(overrides, None, batches)
    lines = ["| error bits | " + " | ".join(exact[0]) + " |", "|---" * (1 + len(exact[0])) + "|"]
    for bits in widths:
        found = cosines(gradients(overrides, bits, batches), exact)
        lines.append(f"| {bits} | " + " | ".join(f"{found[name]:.2f}" for name in exact[0]) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="+", help="an experiment, start_from=<folder of a run>, and more keys")
    parser.add_argument("--bits", nargs="+", type=int, default=[2, 3, 4, 5, 6, 7, 8], help="widths of the errors")
    parser.add_argument("--batches", type=int, default=20, help="batches of training samples")
    options = parser.parse_intermixed_args(arguments)
    if options.batches < 1:
        parser.error(f"--batches {options.batches}: allowed are 1 and more")
    set_up()
    try:
        print(table(options.overrides, options.bits, options.batches))
    except QsnnError as error:
        fail(error)


if __name__ == "__main__":
    main()
