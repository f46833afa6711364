"""The number that a run returns to a sweeper, such as Optuna's: an error, to be minimised."""

import math

from qsnn.training.loop import Outcome


def error_to_minimise(outcome: Outcome) -> float:
    """The error of the weights that the run hands out, never of the test part, which would then be no test any more.

    - pattern: ``d_VR(output, target)`` of the last weights, the van Rossum distance (there is one pattern, and no test);
    - local learning: ``1 - validation accuracy`` of the best weights, those of checkpoints/best.pt;
    - local learning without a validation part (dataset.validation_share=0): NaN. Hydra's own sweeper does not look at
      it; with another one such a run is refused before it trains.
    """
    if "distance" in outcome.final:
        return float(outcome.final["distance"])
    return 1.0 - float(outcome.best.get("validation_accuracy", math.nan))
