"""Search bit widths: ``python -m qsnn.search [key=value ...] search.over='{weight_bits: [1,2,4,8]}'``."""

import importlib.util

from qsnn.command import run_and_leave, wants_usage
from qsnn.errors import ConfigError

USAGE = """usage: python -m qsnn.search [experiment=<name>] [key=value ...] [search.key=value ...] [hydra/launcher=...]

Looks for settings of fewest bits and smallest error in validation, over any bit widths, also of single layers. The same task is
trained in full precision first; what lies within search.within of its error is in reach. The test part is never looked at.

  search.over='{weight_bits: [1,2,4,8], state_bits: 5..8, hidden.weight_bits: [2,4]}'
                       what to try: a width for all layers, or <layer>.<width> (or 0.<width>, ...), or any key or group
  search.name          folder in outputs/search/ (the experiment's name)    search.trials=40    settings to try
  search.objectives=[error,inference]   what is to be small: error, and bits in inference, in training, or of weights
  search.within=0.01   1 point; null: any error, and no full precision      search.reference=<folder of a finished run>
  search.sampler=nsgaii|tpe|random|grid          search.sampler_seed=0      search.seeds=1      runs of a setting
  search.batch=1       settings at once, for launchers such as hydra/launcher=joblib

The same command goes on: finished trials are kept, interrupted ones resumed; search.trials may grow. Started several times at
once, all share the work. Writes search.json, front.csv, front.md, pareto.png, and each run into trials/<settings>/seed_<n>/.
Exit code 1 if a trial failed or was killed (the same command goes on with it), or none finished. docs/search.md shows one.

  python -m qsnn.search experiment=search_bits                     generated, minutes on two cores
  python -m qsnn.search experiment=randman search.over='{weight_bits: [1,2,4,8]}' search.trials=4
"""


def main() -> None:
    """Entry point of ``qsnn-search``."""
    run_and_leave(_search)


def _search(arguments: list[str]) -> None:
    if wants_usage(arguments, USAGE):
        return
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError('searching needs optuna, which is not installed: pip install "qsnn[search]"')
    from qsnn.config.command_line import set_up

    set_up()
    from qsnn.config.searching.search import search

    search(arguments)


if __name__ == "__main__":
    main()
