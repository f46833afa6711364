"""Print how close to the built-in targets any net can come whose neurons never spike in two steps in a row.

    python scripts/state_floor.py [--targets ...] [--densities ...]

With the paper's state format a membrane ends at 127/128 and a spike takes 1 away, so that after a spike it holds at most
0.875 * 127/128 + 127/128 - 1 = 0.86, below the threshold 0.9. For every output neuron the script searches the spike
train without two spikes in a row whose van Rossum distance from the target is least. It keeps the `--beams` best
beginnings from step to step: more could only lower the result, and 1500 instead of 200 do not change its three digits.
"""

import argparse

import numpy as np
from tqdm import tqdm

from qsnn.data.generators.targets import draw_target, keep_pixels

DECAY = 0.75  # of the van Rossum filter, by default
NUM_STEPS, NUM_OUTPUTS = 250, 250


def least_square(column: np.ndarray, beams: int) -> float:
    """The least ``sum_t u[t]^2`` with ``u[t] = DECAY * u[t-1] + s[t] - y[t]`` over trains s without ``s[t] = s[t+1] = 1``.

    ``column``: y, bool [steps]. The distance is the root of this over tau_vr.
    """
    difference, spiked, cost = np.zeros(1), np.zeros(1, dtype=bool), np.zeros(1)
    for wanted in column:
        silent = DECAY * difference - wanted
        difference = np.concatenate([silent, silent[~spiked] + 1])
        cost = np.concatenate([cost, cost[~spiked]]) + difference**2
        spiked = np.arange(len(difference)) >= len(silent)
        if len(cost) > beams:
            # Half of what the difference would cost if it faded by itself: some of it will be made good.
            outlook = cost + difference**2 * DECAY**2 / (1 - DECAY**2) / 2
            kept = np.argpartition(outlook, beams)[:beams]
            difference, spiked, cost = difference[kept], spiked[kept], cost[kept]
    return float(cost.min())


def floor(target: np.ndarray, beams: int) -> float:
    """Least distance from ``target`` (bool [steps, outputs]), relative to that of a silent net."""
    silent, value = 0.0, np.zeros(target.shape[1])
    for row in target:
        value = DECAY * value + row
        silent += float((value**2).sum())
    return float(np.sqrt(sum(least_square(column, beams) for column in target.T) / silent))


def main() -> None:
    """Search every data set's floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="+", default=["letters:nd", "smile", "tree"])
    parser.add_argument("--densities", nargs="+", type=float, default=[0.3, 0.5, 0.95])
    parser.add_argument("--beams", type=int, default=200)
    options = parser.parse_args()
    print("| target | density | least relative distance |\n|---|---|---|")
    for target, density in tqdm([(t, d) for t in options.targets for d in options.densities]):
        picture = keep_pixels(draw_target(target, NUM_STEPS, NUM_OUTPUTS), density, 0)
        print(f"| {target} | {density:g} | {floor(picture, options.beams):.1%} |")


if __name__ == "__main__":
    main()
