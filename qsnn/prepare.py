"""Prepare an event data set for training: ``python -m qsnn.prepare dataset=... dataset.root=... [key=value ...]``."""

import sys

from qsnn.command import EXIT_BAD_INPUT, run_and_leave, wants_usage

USAGE = """usage: python -m qsnn.prepare dataset=<name> dataset.root=<folder> [key=value ...]

Converts the recordings once into a compact cache, from which training reads only what it needs, and prints how many
recordings each class has for training, validation and test. qsnn.train does the same when it finds no cache. A cache
that is there already is read in full and compared with its checksums, by qsnn.train too; it is made again if it is
damaged, or if the data set's files or the options of its reader have changed. Caches are kept in ~/.cache/qsnn
(XDG_CACHE_HOME/qsnn), in QSNN_CACHE if that is set, or in dataset.cache=<folder>; nothing is written into dataset.root.
Any other override of qsnn.train is taken too, so that one list of words serves both.

  dataset   nmnist | dvs_gesture | slow_poker | event_folder | shd | ssc | arrays | array_maps
            or generated: synthetic_gesture | randman | yin_yang
"""


def main() -> None:
    """Entry point of ``qsnn-prepare``."""
    run_and_leave(_prepare)


def _prepare(arguments: list[str]) -> None:
    if wants_usage(arguments, USAGE):
        return
    flags = [text for text in arguments if text.startswith("-")]
    if not arguments or flags:
        sys.stderr.write(f"error: {f'{flags[0]} is not known' if flags else 'no dataset given'}\n\n{USAGE}")
        sys.exit(EXIT_BAD_INPUT)
    from qsnn.config.command_line import set_up
    from qsnn.config.preparing import prepare

    set_up()
    print(prepare(arguments))


if __name__ == "__main__":
    main()
