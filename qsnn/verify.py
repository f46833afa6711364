"""A run replayed in integers: ``python -m qsnn.verify run=outputs/... [samples=32]``."""

import sys

from qsnn.command import run_and_leave, wants_usage

EXIT_DIFFERS = 1
USAGE = """usage: python -m qsnn.verify run=outputs/<experiment>/<time> [samples=32] [artefact=FOLDER] [weights=best|last]
                             [dataset.root=... device=... kernels=... threads=...]
       python -m qsnn.verify run=outputs/<experiment>/<time> training=true [epochs=...] [dataset.root=...]

Presents the run's pattern, or its first test recordings (32, samples= says others), to its net as training computes it and to
the integer engine, and says of every layer how many codes of spikes and states agree, and which is the first that does not.
The engine runs the artefact of the run's weights, or the one in artefact=. With training=true it repeats the run's updates
from its start, by the integer trainer and as they were, and says how many stored codes agree after each; epochs= of them (100
updates, if nothing is said). If they are as many as the run has, the last codes are compared with its checkpoint.
Exit code: 0 if all agree, 1 if one does not, 2 for a run that is none of integers.
"""


def main() -> None:
    """Entry point of ``qsnn-verify``."""
    run_and_leave(_verify)


def _verify(arguments: list[str]) -> None:
    if wants_usage(arguments, USAGE, of_a_run=True):
        return
    from qsnn.config.command_line import set_up
    from qsnn.config.deploying.training import verify_training
    from qsnn.config.deploying.verify import verify

    set_up()
    found = verify_training(arguments) if "training=true" in arguments else verify(arguments)
    print(found.text)
    if not found.exact:
        sys.exit(EXIT_DIFFERS)


if __name__ == "__main__":
    main()
