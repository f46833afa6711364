"""What ordinary classifiers reach on the recordings of an experiment: an RBF SVM and logistic regression on event counts.

python scripts/baselines.py experiment=nmnist_small dataset.root=<folder> dataset.num_folds=5
python scripts/baselines.py experiment=gesture_demo
python scripts/baselines.py experiment=objects dataset.root=<folder> --rates
python scripts/baselines.py experiment=randman

Needs scikit-learn (the extra "dev"). Sensor, test window, folds and test recordings are those of the experiment: with
dataset.num_folds each fold is tested once, without it the data set's own test recordings are. A recording's features are
sqrt(number of events) by time bin, polarity and pixel of the downsampled sensor, over the window of the test. Where the
experiment shifts its windows in training (dataset.shift), the SVM is also trained with a copy of each training recording
at every such shift (not logistic regression, which takes minutes with them). C and gamma are chosen by validation
recordings inside the training part, then the classifier learns from the whole of it; the test recordings are looked at
once. Nothing is random.

Of spike trains (randman, yin_yang) the features are the times of each unit's first spike, the end of the window where it
has none.

With --rates also what the place of events alone tells: the square root of each pixel's number of events, on the whole sensor,
without time and polarity, for the nearest mean of a class and for logistic regression, and for logistic regression that is
shown nothing but hot pixels, those which in some class have at least one event a window and four times as many as their
neighbours. Where each class is one recording, a place, a background or a broken pixel can give it away; this says how far.
"""

import argparse
import itertools
import math
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.svm import SVC

from qsnn.command import fail
from qsnn.config.command_line import compose_config, parse_overrides, set_up
from qsnn.config.preparing import wrong_data
from qsnn.data.events.batches import shifted
from qsnn.data.events.dataset import EventDataset
from qsnn.data.events.options import EventData, SpikeTrains
from qsnn.data.events.split import Split, split
from qsnn.data.events.windows import WindowSettings, input_shape, pixel_table
from qsnn.errors import ConfigError, QsnnError

Features = NDArray[np.float64]
Labels = NDArray[np.int64]
Settings = tuple[float, ...]
Classifier = Callable[[Features, Labels, Features, list[Settings]], list[Labels]]


HEADER = "| classifier | test accuracy | standard error | mean over folds | recordings tested | C/gamma |"


class Tested(NamedTuple):
    """A classifier's score on a test part: how many recordings were right, of how many, and the settings chosen."""

    right: int
    total: int
    settings: Settings


def count_maps(dataset: EventDataset, windows: WindowSettings, num_bins: int, by_polarity: bool = True) -> Features:
    """[N, num_bins * channels, H, W]: square roots of the numbers of ON and of OFF events of every recording's window, or, not
    ``by_polarity``, of any events."""
    windows = windows._replace(input_mode=0 if by_polarity else 1)
    channels, height, width = input_shape(dataset.sensor, windows)
    pixels, end = pixel_table(dataset.sensor, windows), windows.num_steps * windows.step
    maps = np.empty((dataset.num_recordings, num_bins * channels, height, width))
    for index, counts in enumerate(maps):
        time, address = dataset.raw(index, 0, end)
        place = time.astype(np.int64) * num_bins // end * (channels * height * width) + pixels[address]
        counts[:] = np.bincount(place, minlength=counts.size).reshape(counts.shape)
    return np.sqrt(maps)


def first_spikes(dataset: EventDataset, window: int) -> Features:
    """[N, units]: when each unit spikes first, in us, ``window`` where it does not before that."""
    times = np.full((dataset.num_recordings, math.prod(dataset.sensor)), window)
    for index, row_of in enumerate(times):
        time, address = dataset.raw(index, 0, window)
        np.minimum.at(row_of, address >> 1, time.astype(np.int64))
    return times.astype(np.float64)


def shifted_copies(maps: Features, shift: int) -> Features:
    """[(2 shift + 1)^2 N, ...]: the maps moved by up to ``shift`` pixels in each direction; what leaves the map is lost."""
    moves = range(-shift, shift + 1)
    return np.concatenate([shifted(maps, down, right) for down in moves for right in moves])


def svm(x: Features, y: Labels, unseen: Features, settings: list[Settings]) -> list[Labels]:
    """Predictions of an SVM with the kernel exp(-gamma / (F var(x)) * distance^2) for each (C, gamma); F: features."""
    scale = 1 / (x.shape[1] * x.var())
    inner, outer = (scale * euclidean_distances(rows, x, squared=True) for rows in (x, unseen))
    return [
        SVC(C=c, kernel="precomputed").fit(np.exp(-gamma * inner), y).predict(np.exp(-gamma * outer))
        for c, gamma in settings
    ]


def logistic_regression(x: Features, y: Labels, unseen: Features, settings: list[Settings]) -> list[Labels]:
    """Predictions of multinomial logistic regression on x / std(x) with an L2 penalty for each (C,)."""
    scale = x.std()
    return [LogisticRegression(C=c, max_iter=2000).fit(x / scale, y).predict(unseen / scale) for (c,) in settings]


def logistic_regression_in_span(x: Features, y: Labels, unseen: Features, settings: list[Settings]) -> list[Labels]:
    """`logistic_regression` for far more features than recordings: in an orthonormal basis of the recordings learned from,
    where inner products, all that the L2 penalty sees, are the same."""
    basis, scale = np.linalg.qr(x.T)[0], x.std()
    inner, outer = x @ basis / scale, unseen @ basis / scale
    return [LogisticRegression(C=c, max_iter=2000).fit(inner, y).predict(outer) for (c,) in settings]


def nearest_mean(x: Features, y: Labels, unseen: Features, settings: list[Settings]) -> list[Labels]:
    """Predictions by the class whose mean is nearest, the same for every setting."""
    classes = np.unique(y)
    means = np.stack([x[y == label].mean(axis=0) for label in classes])
    return [classes[euclidean_distances(unseen, means, squared=True).argmin(axis=1)]] * len(settings)


def hot_pixels(x: Features, y: Labels, sensor: tuple[int, int]) -> NDArray[np.bool_]:
    """[H W]: which pixels of some class have in the mean one event or more and four times the mean of their eight neighbours.
    ``x`` [N, H W]: roots of counts."""
    counts = np.stack([(x[y == label] ** 2).mean(axis=0).reshape(sensor) for label in np.unique(y)])
    around = np.pad(counts, ((0, 0), (1, 1), (1, 1)))
    moves = itertools.product(range(3), range(3))
    sums = sum(around[:, down : down + sensor[0], right : right + sensor[1]] for down, right in moves)
    hot = (counts >= 1) & (counts > 4 * (sums - counts) / 8)
    return np.asarray(hot.any(axis=0).ravel())


def of_hot_pixels(sensor: tuple[int, int]) -> Classifier:
    """`logistic_regression` that is shown the hot pixels of what it learns from; without any it guesses the first class."""

    def classify(x: Features, y: Labels, unseen: Features, settings: list[Settings]) -> list[Labels]:
        hot = hot_pixels(x, y, sensor)
        if not hot.any():
            return [np.full(len(unseen), y.min())] * len(settings)
        return logistic_regression(x[:, hot], y, unseen[:, hot], settings)

    return classify


CLASSIFIERS: dict[str, tuple[Classifier, list[Settings]]] = {
    "RBF SVM": (svm, list(itertools.product((1.0, 3.0, 10.0, 30.0), (0.25, 0.5, 1.0, 2.0)))),
    "logistic regression": (logistic_regression, [(c,) for c in (0.001, 0.01, 0.1, 1.0)]),
}


def rate_lines(dataset: EventDataset, windows: WindowSettings, splits: list[Split]) -> list[str]:
    """The rows of what rates of pixels alone tell."""
    roots = count_maps(dataset, windows._replace(downsample=1), 1, by_polarity=False)
    grid = CLASSIFIERS["logistic regression"][1]
    contestants: dict[str, tuple[Classifier, list[Settings]]] = {
        "nearest mean, rates of pixels": (nearest_mean, [()]),
        "logistic regression, rates of pixels": (logistic_regression_in_span, grid),
        "logistic regression, hot pixels alone": (of_hot_pixels(dataset.sensor), grid),
    }
    lines = []
    for name, (classify, settings) in contestants.items():
        lines.append(row(name, 1, [scored(classify, settings, roots, dataset.labels, parts, 0) for parts in splits]))
    return lines


def score(name: str, maps: Features, labels: Labels, parts: Split, shift: int) -> Tested:
    """`scored`, of one of `CLASSIFIERS`."""
    return scored(*CLASSIFIERS[name], maps, labels, parts, shift)


def scored(
    classify: Classifier, grid: list[Settings], maps: Features, labels: Labels, parts: Split, shift: int
) -> Tested:
    """Choose the settings by the validation part, learn from training and validation part, test."""

    def predictions(learned: Labels, unseen: Labels, settings: list[Settings]) -> list[Labels]:
        copies = shifted_copies(maps[learned], shift)
        repeated = np.tile(labels[learned], len(copies) // len(learned))
        return classify(copies.reshape(len(copies), -1), repeated, maps[unseen].reshape(len(unseen), -1), settings)

    right = [np.sum(found == labels[parts.validation]) for found in predictions(parts.train, parts.validation, grid)]
    chosen = grid[int(np.argmax(right))]
    whole = np.sort(np.concatenate([parts.train, parts.validation]))
    tested = predictions(whole, parts.test, [chosen])[0] == labels[parts.test]
    return Tested(int(tested.sum()), len(tested), chosen)


def row(name: str, copies: int, folds: list[Tested]) -> str:
    """A line of the table: accuracy of all test recordings, standard error sqrt(p (1 - p) / n), spread over folds."""
    right, total = sum(fold.right for fold in folds), sum(fold.total for fold in folds)
    share, by_fold = right / total, [fold.right / fold.total for fold in folds]
    spread = f" ± {statistics.stdev(by_fold):.1%}" if len(folds) > 1 else ""
    chosen = ", ".join(dict.fromkeys("/".join(f"{value:g}" for value in fold.settings) for fold in folds))
    title = f"{name}, {copies} shifted copies" if copies > 1 else name
    error = math.sqrt(share * (1 - share) / total)
    return f"| {title} | {share:.1%} | {error:.1%} | {statistics.mean(by_fold):.1%}{spread} | {total} | {chosen} |"


def table(config: Any, num_bins: int, validation_share: float, rates: bool = False) -> str:
    """Markdown: a line for each classifier, with and without shifted copies, and those of `rate_lines`. Raises QsnnError."""
    dataset: Any = OmegaConf.to_object(config.dataset)
    if not isinstance(dataset, (EventData, SpikeTrains)):
        raise ConfigError(
            "this dataset has no recordings of events: choose an experiment that has, such as nmnist_small"
        )
    if rates and isinstance(dataset, SpikeTrains):
        raise ConfigError("--rates is of pixels, and this dataset has spike trains")
    wrong = tuple(wrong_data(config))
    if wrong:
        raise ConfigError(*wrong)
    prepared = dataset.prepare(config.logging.progress)
    windows = dataset.windows(config.neuron.dt, training=False)
    numbers = range(dataset.num_folds) if dataset.num_folds else [0]
    splits = [split(prepared, validation_share, dataset.seed, dataset.num_folds, number) for number in numbers]
    if isinstance(dataset, SpikeTrains):
        lines = time_lines(prepared, windows, splits)
    else:
        lines = count_lines(prepared, windows, splits, num_bins, dataset.shift)
        lines += rate_lines(prepared, windows, splits) if rates else []
    return "\n".join([HEADER, "|---" * HEADER.count(" | ") + "|---|", *lines])


def count_lines(
    dataset: EventDataset, windows: WindowSettings, splits: list[Split], num_bins: int, shift: int
) -> list[str]:
    """The rows of what numbers of events by time bin, polarity and pixel tell."""
    maps, lines = count_maps(dataset, windows, num_bins), []
    for name, moved in [("logistic regression", 0), *(("RBF SVM", moved) for moved in sorted({0, shift}))]:
        found = [score(name, maps, dataset.labels, parts, moved) for parts in splits]
        lines.append(row(name, (2 * moved + 1) ** 2, found))
    return lines


def time_lines(dataset: EventDataset, windows: WindowSettings, splits: list[Split]) -> list[str]:
    """The rows of what the times of first spikes tell."""
    times, lines = first_spikes(dataset, windows.num_steps * windows.step), []
    for name in ("logistic regression", "RBF SVM"):
        found = [score(name, times, dataset.labels, parts, 0) for parts in splits]
        lines.append(row(f"{name}, times of first spikes", 1, found))
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="+", help="an experiment and its keys, as for qsnn.train")
    parser.add_argument("--bins", type=int, default=3, help="time bins of the test window")
    parser.add_argument(
        "--validation-share", type=float, default=0.2, help="of the training part, to choose the settings"
    )
    parser.add_argument("--rates", action="store_true", help="also what rates of pixels alone tell")
    options = parser.parse_args(arguments)
    if options.bins < 1:
        parser.error(f"--bins {options.bins}: allowed are 1 and more")
    if not 0 < options.validation_share < 1:
        parser.error(f"--validation-share {options.validation_share}: it must be above 0 and below 1")
    set_up()
    try:
        parse_overrides(options.overrides)
        print(table(compose_config(options.overrides), options.bins, options.validation_share, options.rates))
    except QsnnError as error:
        fail(error)


if __name__ == "__main__":
    main()
