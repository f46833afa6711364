"""Score a run again from its checkpoint: ``python -m qsnn.evaluate run=outputs/... [key=value ...]``."""

import sys

from qsnn.config.command_line import EXIT_BAD_INPUT, fail, set_up
from qsnn.errors import QsnnError

USAGE = """usage: python -m qsnn.evaluate run=outputs/<experiment>/<time> [key=value ...]

Loads checkpoints/last.pt and best.pt of the run, measures distance and firing rates with the run's own config and
data, prints them as JSON and writes raster.png into the run's folder. Overrides such as device=cuda or kernels=eager
are taken; what would make it another run, such as another bit width, is refused.
"""


def main() -> None:
    """Entry point of ``qsnn-evaluate``."""
    arguments = sys.argv[1:]
    if "-h" in arguments or "--help" in arguments:
        print(USAGE)
        return
    if not any(text.startswith("run=") for text in arguments):
        sys.stderr.write(f"error: no run given\n\n{USAGE}")
        sys.exit(EXIT_BAD_INPUT)
    set_up()
    try:
        from qsnn.config.scoring import score_run

        print(score_run(arguments))
    except (QsnnError, OSError) as error:
        fail(error)


if __name__ == "__main__":
    main()
