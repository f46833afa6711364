"""Score a run again from its checkpoint: ``python -m qsnn.evaluate run=outputs/... [key=value ...]``."""

from qsnn.command import run_and_leave, wants_usage

USAGE = """usage: python -m qsnn.evaluate run=outputs/<experiment>/<time> [key=value ...]

Loads checkpoints/last.pt and best.pt of the run, measures distance and firing rates with the run's own config and
data, prints them as JSON and writes raster.png into the run's folder. Overrides such as device=cuda or kernels=eager
are taken; what would make it another run, such as another bit width, is refused.
run=<folder>/checkpoints/previous.pt scores the checkpoint before the last one.
"""


def main() -> None:
    """Entry point of ``qsnn-evaluate``."""
    run_and_leave(_evaluate)


def _evaluate(arguments: list[str]) -> None:
    if wants_usage(arguments, USAGE, of_a_run=True):
        return
    from qsnn.config.command_line import set_up
    from qsnn.config.scoring import score_run

    set_up()
    print(score_run(arguments))


if __name__ == "__main__":
    main()
