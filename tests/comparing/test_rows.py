"""From folders of runs to rows: what varies, which runs belong together, what their means are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from report_runs import class_run, first_right, pattern_run, rates

from qsnn.comparing.comparison import Comparison, Request, compare
from qsnn.errors import ConfigError, RunFolderError
from qsnn.training.runs import write_plan

BITS, HIDDEN, ETA = "quantization.weight_bits", "model.hidden", "optimizer.eta"


def compared(folder: Path, **asked: Any) -> Comparison:
    return compare(Request((folder,), **asked))


def sweep(folder: Path) -> Path:
    """2 and 8 bits by 16 and 32 neurons, three seeds, 20 test recordings."""
    for bits, hidden, start in ((2, 16, 8), (8, 16, 14), (2, 32, 12), (8, 32, 16)):
        for seed in range(3):
            run = folder / f"{bits}-{hidden}-{seed}"
            class_run(run, first_right(start + seed), {BITS: bits, HIDDEN: [hidden], "seed": seed})
            rates(run, {"hidden": [0.1 * bits, 0.2], "output": [0.1]})
    return folder


def test_rows_are_what_varies_and_seeds_are_their_spread(tmp_path: Path) -> None:
    c = compared(sweep(tmp_path))
    assert c.keys == [HIDDEN, BITS]
    assert [row.values for row in c.rows] == [((16,), 2), ((16,), 8), ((32,), 2), ((32,), 8)]
    row = c.rows[0]
    assert row.scores(c.metric) == {0: 0.4, 1: 0.45, 2: 0.5}
    assert (row.mean(c.metric), row.spread(c.metric)) == pytest.approx((0.45, 0.05))
    assert row.standard_error(c.metric) == pytest.approx((0.45 * 0.55 / 20) ** 0.5)
    assert row.cost(c.costs[0]) == 2 * 16 * 30


def test_reference_is_the_row_with_most_bits_and_equal_in_all_else(tmp_path: Path) -> None:
    c = compared(sweep(tmp_path))
    assert c.reference == {BITS: 8}
    first, reference, third, _ = c.differences
    assert reference is None
    assert first is not None
    assert third is not None
    assert first.reference is c.rows[1]
    assert third.reference is c.rows[3]
    assert first.interval.mean == pytest.approx(-0.3)
    assert first.interval.method == "20 recordings and 3 seeds"
    assert first.verdict == "no"
    assert c.drifts[0] == pytest.approx({"hidden": 0.3, "output": 0.0}, abs=1e-6)
    assert c.fronts == {"weight memory": {0, 1, 2, 3}}


def test_reference_and_by_and_select_are_taken_by_the_ends_of_their_keys(tmp_path: Path) -> None:
    c = compared(sweep(tmp_path), select="hidden:[32]", reference="weight_bits:2", by="weight_bits")
    assert [row.values for row in c.rows] == [(2,), (8,)]
    assert c.differences[0] is None
    assert c.differences[1] is not None
    assert c.differences[1].verdict == "yes"


def test_number_is_named_in_any_of_its_forms(tmp_path: Path) -> None:
    c = compared(sweep(tmp_path), select="weight_bits:2.0,weight_bits:8", reference="weight_bits:2e0")
    assert {row.values for row in c.rows} == {((16,), 2), ((32,), 2), ((16,), 8), ((32,), 8)}
    with pytest.raises(ConfigError, match=r"no run has quantization\.weight_bits=true"):
        compared(tmp_path, select="weight_bits:true")


@pytest.mark.parametrize("first", ["a", "z"])
def test_equal_numbers_are_one_value_where_an_override_has_another_form_than_the_config(
    first: str, tmp_path: Path
) -> None:
    for bits in (2, 8):
        class_run(tmp_path / f"m{bits}", first_right(9), {ETA: 64.0, BITS: bits})
    class_run(tmp_path / "n", first_right(9), {ETA: 32.0, BITS: 2})
    write_failed(tmp_path / first, f"{ETA}=64", f"{BITS}=2", "seed=1")
    for number in ("64", "64.0"):
        c = compared(tmp_path, select=f"eta:{number}", by="eta,weight_bits")
        assert [(row.values, row.told_runs()) for row in c.rows] == [((64.0, 2), "1 of 2 (1 failed)"), ((64.0, 8), "1")]
        differences = compared(tmp_path, reference=f"eta:{number}").differences
        assert [d is not None for d in differences] == [True, False, False]


def write_failed(folder: Path, *overrides: str) -> None:
    folder.mkdir()
    summary = {"status": "failed", "error": "too few", "overrides": overrides}
    (folder / "summary.json").write_text(json.dumps(summary))


def test_predictions_that_are_not_kept_or_not_those_of_the_summary_are_not_paired(tmp_path: Path) -> None:
    folder = sweep(tmp_path)
    (folder / "2-16-1" / "test_predictions.npz").unlink()
    (folder / "2-32-1" / "test_predictions.npz").write_bytes((folder / "8-16-0" / "test_predictions.npz").read_bytes())
    c = compared(folder)
    assert [d.interval.method for d in c.differences if d is not None] == ["t over 3 seeds"] * 2


def test_folds_of_a_seed_are_pooled_and_an_incomplete_seed_is_left_out(tmp_path: Path) -> None:
    for seed, rights in ((0, (9, 10)), (1, (5, 5)), (2, (4, None))):
        for fold, right in enumerate(rights):
            run = tmp_path / f"{seed}-{fold}"
            class_run(run, first_right(right or 0, 10), {"seed": seed, "dataset.fold": fold})
            if right is None:
                summary = json.loads((run / "summary.json").read_text())
                (run / "summary.json").write_text(json.dumps({**summary, "status": "stopped"}))
    c = compared(tmp_path)
    (row,) = c.rows
    assert row.scores(c.metric) == {0: 0.95, 1: 0.5}
    assert row.tested(c.metric) == 20
    assert row.told_runs() == "5 of 6 (1 stopped)"


def test_keys_that_follow_from_others_from_the_seed_or_from_the_machine_make_no_rows(tmp_path: Path) -> None:
    for seed in (0, 1):
        for bits in (2, 4):
            changes = {
                BITS: bits,
                "trainer.width": 10 * bits,
                "seed": seed,
                "dataset.seed": seed + 5,
                "threads": 1 + seed,
            }
            class_run(tmp_path / f"{bits}-{seed}", first_right(9), changes)
    assert compared(tmp_path).keys == [BITS]


def test_failed_missing_and_damaged_runs_are_in_the_row_that_they_would_be_in(tmp_path: Path) -> None:
    class_run(tmp_path / "a", first_right(9), {BITS: 2})
    class_run(tmp_path / "b", first_right(9), {BITS: 4})
    for name, text in (
        ("c", f'{{"status": "failed", "error": "too few", "overrides": ["{BITS}=33"]}}'),
        ("d", '{"stat'),
    ):
        (tmp_path / name / ".hydra").mkdir(parents=True)
        (tmp_path / name / "summary.json").write_text(text)
    (tmp_path / "d" / ".hydra" / "config.yaml").write_text("quantization: {weight_bits: 4}\nseed: 1\nname: ${x}\n")
    write_plan(tmp_path, [[f"{BITS}=2"], [f"{BITS}=4"], [f"{BITS}=33"], [f"{BITS}=2", "seed=7"]])
    c = compared(tmp_path)
    assert [(row.values, row.told_runs()) for row in c.rows] == [
        ((2,), "1 of 2 (1 missing)"), ((4,), "1 of 2 (1 unreadable)"), ((33,), "0 of 1 (1 failed)"),
    ]  # fmt: skip
    assert {record.reason for record in c.unfinished} == {"too few", "it never started", "its summary.json is damaged"}


def test_rows_that_would_mix_runs_are_refused_with_the_key_in_which_they_differ(tmp_path: Path) -> None:
    folder = sweep(tmp_path)
    with pytest.raises(
        ConfigError, match=r"runs are of hidden=\[16\], seed 0, .* they differ in quantization\.weight_bits"
    ):
        compared(folder, by=HIDDEN)


def test_by_quantization_tells_precision_in_words(tmp_path: Path) -> None:
    class_run(tmp_path / "a", first_right(9), {BITS: None, "name": "floats"})
    class_run(tmp_path / "b", first_right(9), {BITS: 4})
    assert [row.values for row in compared(tmp_path, by="quantization").rows] == [("full precision",), ("quantized",)]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"by": "weight_bit"}, r"by=weight_bit is no key of these runs; near are .*weight_bits"),
        ({"by": "seed,option"}, r"by=option is not clear: dataset\.option, model\.option, quantization\.option"),
        ({"select": "weight_bits"}, r"select=weight_bits is no pair key:value"),
        ({"select": "weight_bits:3"}, r"no run has quantization\.weight_bits=3; there are 2, 8"),
        (
            {"reference": "state_bits:8"},
            r"state_bits makes no rows here; these do: model\.hidden, quantization\.weight_bits",
        ),
        ({"metric": "test_acuracy"}, r"metric=test_acuracy is no figure of these runs; near are test_accuracy"),
        ({"lines": "x"}, r"lines=x is no key of these runs; such as model\.hidden, quantization\.weight_bits$"),
        ({"lines": "seed"}, r"lines=seed: seed makes no rows here; these do: model\.hidden, quantization\.weight_bits"),
        ({"metric": "acc"}, r"metric=acc is no figure of these runs; such as test_accuracy, validation_accuracy$"),
        ({"margin": 5}, r"margin=5 is not possible: test_accuracy is a share, of which 0\.01 is a point: at most 1"),
    ],
)
def test_unknown_words_are_refused_by_name(tmp_path: Path, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compared(sweep(tmp_path), **asked)


def test_runs_of_different_experiments_are_compared_by_a_metric_that_all_have(tmp_path: Path) -> None:
    class_run(tmp_path / "a", first_right(9))
    pattern_run(tmp_path / "b", 0.5)
    with pytest.raises(
        ConfigError, match=r"no metric in common \(digits has test_accuracy, quick has final\.relative_distance\)"
    ):
        compared(tmp_path)
    with pytest.raises(ConfigError, match=re.escape(f"metric=final.distance: {tmp_path}/a has no such figure")):
        compared(tmp_path, metric="final.distance")
    assert [row.mean(c.metric) for c in [compared(tmp_path, metric="seconds")] for row in c.rows] == [7.0, 7.0]
    assert len(compared(tmp_path, select="name:quick").rows) == 1


def test_smaller_distances_are_better(tmp_path: Path) -> None:
    for bits, share in ((2, 0.5), (4, 0.4), (8, 0.41)):
        for seed in (0, 1):
            pattern_run(tmp_path / f"{bits}-{seed}", share + 0.001 * seed, {BITS: bits, "seed": seed})
    c = compared(tmp_path)
    assert [d and (round(d.interval.mean, 3), d.verdict) for d in c.differences] == [(0.09, "no"), (-0.01, "yes"), None]
    assert c.fronts["weight memory"] == {0, 1}
    assert [other.name for other in c.others] == ["best.relative_distance", "final.distance", "best.distance"]


@pytest.mark.parametrize(
    ("name", "message"), [("nothing", "is not there"), ("file", "is no folder"), ("empty", "no runs below")]
)
def test_folders_without_runs_are_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match=message):
        compared(tmp_path / name)
