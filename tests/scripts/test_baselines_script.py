"""scripts/baselines.py: features, choice of settings inside the training part, and its table, on small files."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from event_builders import nmnist_file, prepared
from scripts_module import load_script

from qsnn.data.events.split import Split
from qsnn.data.events.windows import WindowSettings
from qsnn.data.recording import Events, Recording

pytest.importorskip("sklearn", reason='scikit-learn is in the extra "dev"')


@pytest.fixture(scope="module")
def baselines() -> ModuleType:
    return load_script("baselines")


def _events(rows: list[tuple[int, int, int, bool]]) -> Events:
    t, x, y, on = (np.array(column) for column in zip(*sorted(rows), strict=True))
    return Events(t.astype(np.int64), x.astype(np.int16), y.astype(np.int16), on.astype(bool))


def _digit(digit: int, seed: int) -> Events:
    """50 events about a place that tells the digit."""
    rng = np.random.default_rng(seed)
    x, y = (
        np.clip(rng.normal(place, 1.5, 50).round(), 0, 33) for place in (4 + 6 * (digit % 5), 8 + 16 * (digit // 5))
    )
    rows = zip(
        rng.integers(0, 300_000, 50).tolist(), x.tolist(), y.tolist(), (rng.random(50) < 0.5).tolist(), strict=True
    )
    return _events(list(rows))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides of a folder of 60 N-MNIST files, six a digit."""
    root = tmp_path_factory.mktemp("digits")
    for number in range(60):
        part, digit = ("Train" if number < 40 else "Test"), number % 10
        folder = root / part / str(digit)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:05}.bin").write_bytes(nmnist_file(_digit(digit, number)))
    return ["experiment=nmnist_small", f"dataset.root={root}", "logging.progress=false"]


def test_count_maps_are_roots_of_counts_by_bin_polarity_and_pixel_inside_the_window(
    baselines: ModuleType, tmp_path: Path
) -> None:
    rows = [(0, 0, 0, True), (99_999, 1, 1, True), (100_000, 3, 2, True), (250_000, 0, 3, False), (300_000, 0, 0, True)]
    dataset = prepared(tmp_path, [Recording("a", 0, "a", False, _events(rows))], sensor=(4, 4))
    maps = baselines.count_maps(dataset, WindowSettings(0.005, 60, 1, 2, 0.0), 3)
    expected = np.zeros((1, 6, 2, 2))  # channel: 2 * bin, + 1 for OFF
    expected[0, 0, 0, 0], expected[0, 2, 1, 1], expected[0, 5, 1, 0] = np.sqrt(2), 1, 1
    assert np.array_equal(maps, expected)


def test_first_spikes_are_the_earliest_of_each_unit_and_the_windows_end_without_one(
    baselines: ModuleType, tmp_path: Path
) -> None:
    rows = [(0, 2, 0, True), (30_000, 0, 0, True), (40_000, 0, 0, True), (100_000, 1, 0, True)]
    dataset = prepared(tmp_path, [Recording("a", 0, "a", False, _events(rows))], sensor=(1, 3))
    assert np.array_equal(baselines.first_spikes(dataset, 100_000), [[30_000, 100_000, 0]])


def test_shifted_copies_move_by_every_shift_and_lose_what_leaves_the_map(baselines: ModuleType) -> None:
    maps = np.arange(1.0, 10).reshape(1, 1, 3, 3)
    copies = baselines.shifted_copies(maps, 1)
    assert copies.shape == (9, 1, 3, 3)
    assert np.array_equal(copies[4], maps[0])
    assert np.array_equal(copies[8, 0], [[0, 0, 0], [0, 1, 2], [0, 4, 5]])
    assert np.array_equal(copies[0, 0], [[5, 6, 0], [8, 9, 0], [0, 0, 0]])
    assert np.array_equal(baselines.shifted_copies(maps, 0), maps)


def test_score_chooses_settings_by_validation_and_tests_once_after_learning_from_the_whole_training_part(
    baselines: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def constant(x: np.ndarray, y: np.ndarray, unseen: np.ndarray, settings: list[tuple[float]]) -> list[np.ndarray]:
        calls.append((x[:, 0].astype(int).tolist(), y.tolist(), unseen[:, 0].astype(int).tolist(), settings))
        return [np.full(len(unseen), value) for (value,) in settings]

    monkeypatch.setitem(baselines.CLASSIFIERS, "constant", (constant, [(0.0,), (1.0,), (2.0,)]))
    parts = Split(np.array([0, 2]), np.array([1, 3, 5]), np.array([4, 6, 7, 8]))
    labels = np.array([0, 2, 0, 2, 1, 1, 1, 1, 2])
    tested = baselines.score("constant", np.arange(9.0).reshape(9, 1, 1, 1), labels, parts, 0)
    assert tested == baselines.Tested(right=1, total=4, settings=(2.0,))
    assert calls == [
        ([0, 2], [0, 0], [1, 3, 5], [(0.0,), (1.0,), (2.0,)]),
        ([0, 1, 2, 3, 5], [0, 2, 0, 2, 1], [4, 6, 7, 8], [(2.0,)]),
    ]


def test_row_gives_the_standard_error_of_the_test_recordings_and_the_spread_over_folds(baselines: ModuleType) -> None:
    folds = [baselines.Tested(right, 150, (10.0, 0.5)) for right in (140, 143, 141, 142, 142)]
    assert baselines.row("RBF SVM", 9, folds) == (
        "| RBF SVM, 9 shifted copies | 94.4% | 0.8% | 94.4% ± 0.8% | 750 | 10/0.5 |"
    )
    assert baselines.row("RBF SVM", 1, folds[:1]) == "| RBF SVM | 93.3% | 2.0% | 93.3% | 150 | 10/0.5 |"


def test_baselines_print_a_line_for_each_classifier_and_for_shifted_copies_over_all_folds(
    baselines: ModuleType, digits: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    baselines.main([*digits, "dataset.num_folds=2", "--validation-share", "0.4"])
    lines = capsys.readouterr().out.splitlines()
    names = [line.split("|")[1].strip() for line in lines[2:]]
    assert names == ["logistic regression", "RBF SVM", "RBF SVM, 9 shifted copies"]
    for line in lines[2:]:
        accuracy, _, by_fold, tested = (cell.strip() for cell in line.split("|")[2:6])
        assert float(accuracy.rstrip("%")) >= 90
        assert "±" in by_fold
        assert tested == "60"


def test_baselines_without_folds_test_the_data_sets_own_test_recordings(
    baselines: ModuleType, digits: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    baselines.main([*digits, "dataset.shift=0", "--bins", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[5].strip() for line in lines[2:]] == ["20", "20"]


def test_baselines_of_spike_trains_tell_classes_by_the_times_of_first_spikes(
    baselines: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = ["experiment=yin_yang", f"dataset.cache={tmp_path}", "dataset.num_train=300", "dataset.num_test=90"]
    baselines.main(points)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0] for row in rows] == ["logistic regression, times of first spikes", "RBF SVM, times of first spikes"]
    assert [row[4] for row in rows] == ["90", "90"]
    straight, curved = (float(row[1].rstrip("%")) for row in rows)
    assert 50 < straight < 75 < curved  # no line parts the symbol
    with pytest.raises(SystemExit) as exit_:
        baselines.main([*points, "--rates"])
    assert exit_.value.code == 2
    assert "--rates is of pixels, and this dataset has spike trains" in capsys.readouterr().err


def test_hot_pixels_are_those_far_above_their_neighbours_in_some_class(baselines: ModuleType) -> None:
    counts = np.full((4, 5, 6), 2.0)
    counts[:2, 1, 2] = 9  # of class 0 alone, above 4 * 2
    counts[:, 4, 5] = 5  # a corner has three neighbours, of the eight that are counted: above 4 * 6 / 8
    counts[:, 3, 0] = 4
    hot = baselines.hot_pixels(np.sqrt(counts).reshape(4, -1), np.array([0, 0, 1, 1]), (5, 6))
    assert np.flatnonzero(hot).tolist() == [8, 29]
    silent = baselines.of_hot_pixels((5, 6))(np.ones((4, 30)) * 0.1, np.array([1, 1, 2, 2]), np.ones((3, 30)), [(1.0,)])
    assert [found.tolist() for found in silent] == [[1, 1, 1]]


def test_classifiers_of_rates_find_the_nearest_mean_and_what_logistic_regression_finds(baselines: ModuleType) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 3
    x, unseen = (rng.poisson(1.5 + 2 * np.eye(3, 90)[labels % 3]) ** 0.5 for _ in range(2))
    means = [x[labels == k].mean(axis=0) for k in range(3)]
    nearest = [int(np.argmin([((row - mean) ** 2).sum() for mean in means])) for row in unseen]
    assert [found.tolist() for found in baselines.nearest_mean(x, labels, unseen, [(), ()])] == [nearest, nearest]
    whole, inside = (
        classify(x, labels, unseen, [(0.1,)])[0]
        for classify in (baselines.logistic_regression, baselines.logistic_regression_in_span)
    )
    assert (whole == inside).all()


def test_baselines_of_rates_have_a_line_each(
    baselines: ModuleType, digits: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    baselines.main([*digits, "dataset.shift=0", "--bins", "1", "--rates"])
    lines = capsys.readouterr().out.splitlines()[4:]
    assert [line.split("|")[1].strip() for line in lines] == [
        "nearest mean, rates of pixels", "logistic regression, rates of pixels", "logistic regression, hot pixels alone",
    ]  # fmt: skip
    assert all(line.split("|")[5].strip() == "20" for line in lines)


def test_baselines_refuse_data_that_have_no_recordings(
    baselines: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        baselines.main(["experiment=quick"])
    assert exit_.value.code == 2
    assert capsys.readouterr().err.startswith("error: this dataset has no recordings of events: choose an experiment")


@pytest.mark.parametrize(
    ("option", "message"),
    [(["--bins", "0"], "--bins 0: allowed are 1 and more"),
     (["--validation-share", "0"], "--validation-share 0.0: it must be above 0 and below 1")],
)  # fmt: skip
def test_baselines_refuse_options_with_which_nothing_could_be_measured_or_chosen(
    baselines: ModuleType, capsys: pytest.CaptureFixture[str], option: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as exit_:
        baselines.main(["experiment=gesture_demo", *option])
    assert exit_.value.code == 2
    assert capsys.readouterr().err.endswith(f"error: {message}\n")
