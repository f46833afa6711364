"""Sweeps that have a name: the folder, the jobs that are still to do, and what is refused."""

import copy
import json
from pathlib import Path

import pytest
from helpers import SMALL
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf, open_dict

from qsnn.config.command_line import compose_config, read_command_line
from qsnn.config.paths import MAX_FOLDER_NAME, wrong_name
from qsnn.config.run import start
from qsnn.config.sweep_jobs import is_installed
from qsnn.config.sweeps.composing import changed
from qsnn.config.sweeps.launchers import BASIC, JOBLIB, PROCESSES, cpu_count, workers_of
from qsnn.config.sweeps.planning import folder_names, plan
from qsnn.errors import ConfigError
from qsnn.training.folders.lock import locked
from qsnn.training.runs import read_job

QUICK = [*SMALL, "trainer.epochs=1", "logging.to=[]", "kernels=eager"]


def job(seed: int, *words: str) -> list[str]:
    return [*QUICK, *words, f"seed={seed}", "resume=auto"]


def run(folder: Path, words: list[str]) -> None:
    """The job in ``folder``, finished."""
    folder.mkdir(parents=True)
    start(compose_config(words), folder, [word for word in words if word != "resume=auto"])


def to_do(jobs: list[list[str]], folder: Path, names: list[str]) -> list[str]:
    return [planned.folder.name for planned in plan(jobs, folder, names).to_do]


def test_sweep_with_a_name_has_its_folder_and_goes_on() -> None:
    sweep = read_command_line(["-m", "experiment=quick", "sweep.name=mine", "seed=0,1"]).sweep
    assert sweep is not None
    assert sweep.folder == Path("outputs/multirun/quick/mine")
    assert sweep.jobs == [["experiment=quick", f"seed={seed}", "resume=auto"] for seed in (0, 1)]
    unnamed = read_command_line(["-m", "experiment=quick", "sweep.name=null", "seed=0"]).sweep
    assert unnamed is not None
    assert unnamed.jobs == [["experiment=quick", "seed=0"]]


@pytest.mark.parametrize("name", ["true", "007"])
def test_name_that_looks_like_a_value_is_the_text_that_was_typed(name: str) -> None:
    sweep = read_command_line(["-m", "experiment=quick", f"sweep.name={name}", "seed=0"]).sweep
    assert sweep is not None
    assert sweep.folder == Path("outputs/multirun/quick") / name
    assert compose_config(read_command_line([f"name={name}"]).words).name == name


HOSTILE = [
    "a/b",
    "..",
    ".",
    "",
    " ",
    "../../etc",
    "a\nb",
    "x" * (MAX_FOLDER_NAME + 1),
    "-rf",
    "$HOME",
    "~",
    "a\x00b",
    "\u202e",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_name_that_is_no_folder_is_refused_by_its_name(name: str) -> None:
    (problem,) = wrong_name(name, "sweep.name")
    assert problem.startswith("sweep.name=")
    assert " is not possible: it names a folder: up to 180 bytes" in problem
    assert problem.isprintable()


def test_hostile_name_is_refused_before_anything_is_written() -> None:
    with pytest.raises(ConfigError, match=r"^sweep\.name=\.\. is not possible"):
        read_command_line(["-m", "experiment=quick", "sweep.name=..", "seed=0"])


MEANINGLESS = {
    "sweep.name=x": r"sweep\.name=x names a sweep: add -m; the folder of a single run is hydra\.run\.dir",
    "-m sweep.name=x,y": r"sweep\.name=x,y holds several values: a sweep has one name",
    "-m sweep.name=x hydra.sweep.dir=z": r"sweep\.name=x and hydra\.sweep\.dir both name the folder",
    "-m sweep.name=x hydra/sweeper=basic": r"sweep\.name=x is of a list of jobs; with another sweeper",
}


@pytest.mark.parametrize("words", MEANINGLESS)
def test_name_that_cannot_mean_anything_is_refused(words: str) -> None:
    with pytest.raises(ConfigError, match=MEANINGLESS[words]):
        read_command_line(["experiment=quick", "seed=0", *words.split()])


def test_names_of_folders_are_hydras() -> None:
    job = ["experiment=quick", "seed=1", "resume=auto", "dataset.target='letters:a b'"]
    cfg = compose_config(job, return_hydra_config=True)
    assert folder_names([job], copy.deepcopy(cfg)) == [str(cfg.hydra.sweep.subdir)]
    with open_dict(cfg):
        cfg.hydra.sweep.subdir = "${hydra.job.num}"
    assert folder_names([job, job], cfg) == ["0", "1"]
    assert folder_names([job], _with_subdir(cfg, "s${seed}/x")) == ["s1/x"]


def _with_subdir(cfg: DictConfig, text: str) -> DictConfig:
    with open_dict(cfg):
        cfg.hydra.sweep.subdir = text
    return cfg


VALUES = {
    "seed": st.integers(0, 9), "threads": st.integers(1, 4), "trainer.epochs": st.integers(1, 99),
    "quantization.weight_bits": st.sampled_from(["null", "2", "8", "[2,8]"]), "optimizer.eta": st.sampled_from(["0.5", "1e-3"]),
    "hydra.sweep.subdir": st.sampled_from(["'a'", "'b=c'"]), "model.hidden": st.sampled_from(["[8]", "[8,4]"]),
}  # fmt: skip
WORDS = st.fixed_dictionaries(VALUES).map(lambda values: [f"{key}={values[key]}" for key in VALUES])


@settings(max_examples=2, deadline=None, phases=[Phase.generate])
@given(before=WORDS, now=WORDS)
def test_config_made_from_the_last_jobs_is_that_which_hydra_composes(before: list[str], now: list[str]) -> None:
    configs = [compose_config(["experiment=quick", *words], return_hydra_config=True) for words in (before, now)]
    made = changed(["experiment=quick", *before], configs[0], ["experiment=quick", *now])
    assert made is not None
    assert OmegaConf.to_yaml(made) == OmegaConf.to_yaml(configs[1])


def test_config_of_another_group_or_key_is_composed() -> None:
    cfg = compose_config(["experiment=quick", "seed=0"], return_hydra_config=True)
    for words in (
        ["experiment=pattern", "seed=0"], ["experiment=quick"], ["experiment=quick", "threads=2"],
        ["experiment=quick", "seed=x"], ["experiment=quick", "seed=0", "seed=1"], ["experiment=quick", "+seed=1"],
    ):  # fmt: skip
        assert changed(["experiment=quick", "seed=0"], cfg, words) is None


def test_only_what_is_not_finished_is_to_do_and_waits_in_its_folder(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    jobs = [job(0), job(1), job(2)]
    run(tmp_path / "a", job(0))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "summary.json").write_text(json.dumps({"status": "failed", "error": "no luck", "seed": 1}))
    assert to_do(jobs, tmp_path, names) == ["b", "c"]
    assert [read_job(tmp_path / name).status for name in names] == ["finished", "queued", "queued"]
    assert read_job(tmp_path / "b").summary["seed"] == 1
    assert "error" not in read_job(tmp_path / "b").summary
    further = [[*words, "trainer.epochs=2"] if words == jobs[0] else words for words in jobs]
    assert plan(further, tmp_path, names).refused[0].status == "failed"  # other overrides, that folder


def test_folder_that_holds_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    run(tmp_path / "a", job(0))
    before = (tmp_path / "a" / "summary.json").read_bytes()
    (other,) = plan([job(5)], tmp_path, ["a"]).refused
    assert other.reason().startswith(f"{tmp_path}/a holds another job (experiment=quick ")
    (again,) = plan([job(0)[:-1]], tmp_path, ["a"]).refused
    assert again.reason() == f"{tmp_path}/a already holds a run: add resume=auto to go on, or give a sweep.name"
    saved = json.loads(before)
    saved["overrides"] = [word for word in saved["overrides"] if not word.startswith("seed=")]
    (tmp_path / "a" / "summary.json").write_text(json.dumps(saved))
    changed = [*QUICK, "resume=auto"]  # the same overrides, and the default that they leave is another now
    (tmp_path / "b").mkdir()
    start(compose_config([*QUICK, "seed=7"]), tmp_path / "b", QUICK)
    (refused,) = plan([changed], tmp_path, ["b"]).refused
    assert "is of a run with another config: seed was 7, is 0" in refused.reason()


def test_finished_run_that_shall_go_further_is_to_do(tmp_path: Path) -> None:
    run(tmp_path / "a", job(0))
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    (tmp_path / "a" / "summary.json").write_text(json.dumps({**summary, "epochs": 0}))
    assert to_do([job(0)], tmp_path, ["a"]) == ["a"]


def test_job_that_another_process_runs_is_planned_and_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with locked(folder):
        (folder / "summary.json").write_text(
            json.dumps({"status": "running", "pid": 7, "host": "there", "since": "noon"})
        )
        assert to_do([job(0)], tmp_path, ["a"]) == ["a"]  # it may be killed before it is this sweep's turn
        running = read_job(folder)
        assert (running.status, running.reason()) == ("running", "process 7 on there has been at it since noon")
    assert read_job(folder).status == "killed"


@pytest.mark.parametrize(
    ("launcher", "n_jobs", "number"),
    [
        (BASIC, 0, 1),
        (PROCESSES, -1, cpu_count()),
        (PROCESSES, 3, 3),
        (JOBLIB, -2, max(1, cpu_count() - 1)),
        ("other", 2, 0),
    ],
)
def test_number_of_processes_is_that_of_the_launcher(launcher: str, n_jobs: int, number: int) -> None:
    assert workers_of(hydra_config(launcher, n_jobs)) == number


def test_settings_that_our_processes_do_not_have_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"hydra\.launcher\.n_jobs=0 is not possible"):
        workers_of(hydra_config(PROCESSES, 0))
    with pytest.raises(ConfigError, match=r"hydra\.launcher\.backend=threading is not taken"):
        workers_of(hydra_config(JOBLIB, 1, "hydra.launcher.backend=threading"))


@pytest.mark.skipif(is_installed("hydra_plugins.hydra_ray_launcher"), reason="it is installed")
def test_launcher_that_is_not_installed_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r'^hydra/launcher=ray needs packages .*: pip install "qsnn\[ray\]"$'):
        read_command_line(["-m", "hydra/launcher=ray", "seed=0"])


def hydra_config(launcher: str, n_jobs: int, *overrides: str) -> DictConfig:
    chosen = {"launcher": {"_target_": launcher, "n_jobs": n_jobs}, "overrides": {"hydra": list(overrides)}}
    return OmegaConf.create({"hydra": chosen})
