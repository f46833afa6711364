"""How often intervals of paired differences hold the true difference, in simulated runs: seeds and recordings drawn at random.

python scripts/interval_coverage.py [--trials 2000]

Two configurations whose true accuracies differ by 3 points; a recording is harder or easier for both (standard deviation 1.5 in
logits) and for one of them (0.5); a seed is better or worse as a whole, each configuration for itself (`--seed-spread`).
Compared at 95 %: what `qsnn.report` does; Student's t over seeds alone; recordings alone, as if the seeds were all there are;
and the bootstrap over seeds and recordings ("pigeonhole"), percentiles of 500.
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from qsnn.comparing.intervals import by_recordings, by_seeds

BASE, STEP, HARD, OWN = 1.5, 0.25, 1.5, 0.5


def right(
    shape: tuple[int, int], hardness: NDArray[np.float64], lift: float, spread: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(S, n): which recordings are classified rightly."""
    logits = BASE + lift + hardness + rng.normal(0, spread, (shape[0], 1))
    chances: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
    return (rng.random(shape) < chances).astype(np.float64)


def trial(S: int, n: int, spread: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """d_si of fresh seeds and recordings."""
    common = rng.normal(0, HARD, n)
    first, second = (right((S, n), common + rng.normal(0, OWN, n), lift, spread, rng) for lift in (STEP, 0.0))
    return first - second


def bootstrap(differences: NDArray[np.float64], rng: np.random.Generator, repeats: int = 500) -> tuple[float, float]:
    """The pigeonhole bootstrap's interval."""
    S, n = differences.shape
    seeds = rng.multinomial(S, [1 / S] * S, repeats) / S
    recordings = rng.multinomial(n, [1 / n] * n, repeats) / n
    low, high = np.quantile(((seeds @ differences) * recordings).sum(1), [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Print coverage and mean width for some numbers of seeds and recordings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed-spread", type=float, nargs="+", default=[0.0, 0.1, 0.3])
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    print(
        "| spread of seeds | seeds | recordings | report | t over seeds | recordings alone | bootstrap | widths, in points |\n"
        + "|---" * 8
        + "|"
    )
    for spread in options.seed_spread:
        truth = float(np.mean([trial(50, 2000, spread, rng).mean() for _ in range(40)]))
        for S in (2, 3, 5):
            for n in (150, 1000):
                intervals = []
                for _ in range(options.trials):
                    d = trial(S, n, spread, rng)
                    made = [
                        by_recordings(d, 0.95),
                        by_seeds(d.mean(1).tolist(), 0.95),
                        by_recordings(d.mean(0)[None], 0.95),
                    ]
                    intervals.append([*((i.low, i.high) for i in made), bootstrap(d, rng)])
                ends = np.array(intervals, dtype=np.float64)
                covered = ((ends[..., 0] <= truth) & (truth <= ends[..., 1])).mean(0)
                widths = 100 * np.median(ends[..., 1] - ends[..., 0], 0)
                print(
                    f"| {spread} | {S} | {n} | "
                    + " | ".join(f"{c:.1%}" for c in covered)
                    + f" | {', '.join(f'{w:.1f}' for w in widths)} |"
                )


if __name__ == "__main__":
    main()
