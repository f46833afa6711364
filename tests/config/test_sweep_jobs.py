"""Sweeps before their first run: which jobs they have, what is refused, and where they go."""

import re
from pathlib import Path

import pytest
from helpers import in_process
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from omegaconf import DictConfig

from qsnn.config.command_line import (
    compose_config,
    group_options,
    parse_overrides,
    prepare_arguments,
    read_command_line,
)
from qsnn.config.paths import MAX_FOLDER_NAME, folder_name
from qsnn.config.sweep_jobs import all_jobs, check_objective
from qsnn.errors import ConfigError


def plan(*words: str) -> tuple[Path, list[list[str]]]:
    sweep = read_command_line(["-m", *words]).sweep
    assert sweep is not None
    assert sweep.jobs is not None
    return sweep.folder, sweep.jobs


@pytest.mark.parametrize(
    "words",
    [
        ["quantization.weight_bits=2,4,null", "seed=0,1", "trainer.epochs=6"],
        ["seed=range(0,5,2)", "dataset.target='letters:a,b',smile", "optimizer=sgd,adam"],
        ["model.hidden=[8],[8,4]", "optimizer.eta=choice(0.5,1)", "seed=1", "seed=2", "logging.progress=false"],
    ],
)
def test_all_jobs_are_those_of_hydras_sweeper(words: list[str]) -> None:
    overrides = parse_overrides(words)
    assert all_jobs(overrides) == BasicSweeper.split_arguments(overrides, None)[0]


def test_glob_sweeps_the_options_that_it_matches() -> None:
    names = [name for name in group_options()["optimizer"] if name.startswith("ada")]
    assert {"adam", "adamax"} < set(names)
    jobs = plan("experiment=quick", "optimizer=glob(ada*)")[1]
    assert jobs == [["experiment=quick", f"optimizer={name}"] for name in names]
    assert plan("optimizer=glob(adam*, exclude=*_*)")[1] == [["optimizer=adam"], ["optimizer=adamax"]]
    assert plan("optimizer=glob(adam*, exclude=[*_*,*max])")[1] == [["optimizer=adam"]]


MISTAKES = {
    "optimizer=glob(zz*)": "optimizer=glob(zz*) is none of the options of optimizer: adam, adam_conv, adam_gesture_demo",
    "seed=glob(*)": "seed=glob(*) is not possible: glob chooses among the options of a group; list the values of seed",
    "seed=interval(0,1)": "seed=interval(0,1) is an interval, for a sweeper that draws from it (hydra/sweeper=...); list",
    "name=a,..": "name=.. is not possible: it names a folder",
    "experiment=quick,nope": "experiment=nope does not exist",
    "hydra/launcher=foo seed=0": "hydra/launcher=foo does not exist: options are basic",
    "hydra.launcher.n_jobs=2 seed=0": "hydra.launcher.n_jobs=2: the launcher that is chosen has no such key; add ",
    "seed=range(0,0)": "seed=range(0,0) has no values",
    "seed=range(5,0)": "seed=range(5,0) has no values",
    "seed=range(0,10001)": "seed=range(0,10001) has more values than the 10,000 jobs that a sweep can have",
    "seed=range(0,1e12)": "seed=range(0,1e12) has more values",
    "seed=shuffle(range(0,1e12))": "seed=shuffle(range(0,1e12)) has more values",
    "seed=range(0,5,0)": "seed=range(0,5,0) has more values",
    "seed=range(0,200) trainer.epochs=range(1,52)": "10,200 jobs are more than the 10,000 that a sweep can have",
    "sweep.name=${nope} seed=0,1": "sweep.name: Interpolation key 'nope' not found",
    "sweep.name=${sweep.name} seed=0,1": "sweep.name: Recursive interpolation detected",
    "name=${nope} seed=0,1": "name: Interpolation key 'nope' not found",
    "name=a,${nope}": "name: Interpolation key 'nope' not found",
    "hydra.sweep.dir=${nope} seed=0,1": "hydra.sweep.dir: Interpolation key 'nope' not found",
    "threads=${nope} seed=0,1": "threads: Interpolation key 'nope' not found",
    "quantization.weight_bits=99 seed=0,1": "quantization.weight_bits=99 is not possible: allowed are 1..16",
    "device=tpu seed=0,1": "device=tpu is not ",
    "optimizer=sgd,adam optimizer.momentum=0.5": "optimizer.momentum=0.5: this key belongs to optimizer=sgd",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistake_in_a_sweep_is_one_line_before_its_first_run(words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare_arguments(["-m", *words.split()])
    assert str(caught.value).startswith(MISTAKES[words])
    assert "\n" not in str(caught.value)


def test_mistake_of_some_jobs_is_theirs_and_one_of_all_is_the_sweeps() -> None:
    widths = "quantization.weight_bits=99,2"
    assert len(plan("experiment=quick", widths, "seed=0,1")[1]) == 4
    with pytest.raises(ConfigError) as caught:
        plan("experiment=quick", widths, "trainer.epochs=-1")
    (told,) = caught.value.args
    assert told.startswith("trainer.epochs=-1 is not possible")


def test_mistake_that_only_one_of_all_combinations_lacks_is_no_mistake_of_the_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that no value of a key alone mends: every combination is asked."""

    def wrong(cfg: DictConfig) -> list[str]:
        return [] if (cfg.seed, cfg.trainer.epochs) == (1, 8) else ["seed and epochs do not fit"]

    monkeypatch.setattr("qsnn.config.trying.refusals", wrong)
    assert len(plan("experiment=quick", "seed=0,1", "trainer.epochs=7,8")[1]) == 4
    with pytest.raises(ConfigError, match="seed and epochs do not fit"):
        plan("experiment=quick", "seed=0,1", "trainer.epochs=7,9")


def test_keys_of_the_swept_options_can_be_set_and_swept() -> None:
    jobs = plan("experiment=gesture_demo,gesture_small", "dataset.window_train=0.1,0.2", "dataset.fold=0")[1]
    assert len(jobs) == 4


def test_sweep_over_experiments_has_one_folder() -> None:
    folder, jobs = plan("experiment=quick,pattern_w8", "seed=0,1")
    assert len(jobs) == 4
    assert re.fullmatch(r"outputs/multirun/quick\+pattern_w8/[\d_-]+-[0-9a-f]{6}", str(folder))
    assert plan("experiment=quick", "seed=0,1")[0].parent == Path("outputs/multirun/quick")


def test_folder_that_the_user_chose_is_taken() -> None:
    assert plan("seed=0,1", "hydra.sweep.dir='mine, with ${name}'")[0] == Path("mine, with pattern")


def test_no_sweep_is_planned_for_one_run() -> None:
    assert read_command_line(["seed=0"]).sweep is None


def test_folder_names_of_jobs_stay_below_the_limit_of_file_systems_in_any_script() -> None:
    for text in ("x" * 500, "é" * 200, "name=" + "漢" * 100):
        assert len(folder_name(text).encode()) <= MAX_FOLDER_NAME + 9
    assert folder_name("é" * 200) != folder_name("é" * 201)


def test_run_without_validation_is_refused_to_a_sweeper_that_minimises_its_error() -> None:
    check_objective(compose_config(["experiment=quick"]))
    check_objective(compose_config(["experiment=gesture_demo"]))
    with pytest.raises(ConfigError, match=r"dataset\.validation_share=0\.0 is not possible: the sweeper minimises"):
        check_objective(compose_config(["experiment=gesture_demo", "dataset.validation_share=0"]))


def test_sweep_that_goes_on_by_resume_auto_finds_the_folders_of_its_jobs() -> None:
    started, again = (
        compose_config([*words, "seed=1"], return_hydra_config=True).hydra.job.override_dirname
        for words in ([], ["resume=auto"])
    )
    assert started == again == "seed=1"


def test_file_in_place_of_a_sweeps_folder_is_told_with_the_key(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        told = f"hydra.sweep.dir: {folder} cannot be the sweep's folder, as {tmp_path}/file is a file"
        with pytest.raises(ConfigError, match=re.escape(told)):
            read_command_line(["-m", "experiment=quick", f"hydra.sweep.dir={folder}", "seed=0"])


def test_sweep_is_refused_without_a_trace_and_without_an_empty_table(tmp_path: Path) -> None:
    words = ["-m", "experiment=quick", "seed=0", "hydra.sweep.dir=x"]
    refused = in_process("train", *words, "hydra/launcher=processes", "hydra.launcher.n_jobs=0", folder=tmp_path)
    assert (refused.returncode, refused.stdout, list(tmp_path.iterdir())) == (2, "", [])
    assert refused.stderr.startswith("error: hydra.launcher.n_jobs=0 is not possible")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "sweep.json").write_text("[")
    damaged = in_process("train", *words, folder=tmp_path)
    assert (damaged.returncode, damaged.stdout) == (2, "")
    assert damaged.stderr.startswith("error: x/sweep.json is damaged")
    assert damaged.stderr.count("\n") == 1
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["sweep.json"]
