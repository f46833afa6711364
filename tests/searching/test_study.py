"""The journal that processes share: no setting twice, nothing lost with a process, nothing believed that is no operation."""

import json
import os
import pickle
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from qsnn.config.building.common import to_config
from qsnn.config.command_line import compose_config
from qsnn.config.schema import Search
from qsnn.config.searching.space import Settings, read_space
from qsnn.config.searching.study import FAILED, INFEASIBLE, JOURNAL, KILLED, RESULT, TRIALS, Claimed, Study
from qsnn.errors import RunFolderError

SPACE = read_space(
    {"weight_bits": [1, 2, 4], "state_bits": [4, 6, 8]}, to_config(compose_config(["experiment=randman"]))
)


def study(folder: Path, sampler: str = "nsgaii", trials: int = 20, impossible: int = 0) -> Study:
    def infeasible(settings: Settings) -> str | None:
        return "silent" if settings["state_bits"] == impossible else None

    return Study(folder, Search(sampler=sampler, trials=trials), SPACE, infeasible)


def run(one: Study, claimed: Claimed) -> None:
    bits = claimed.settings["weight_bits"] * claimed.settings["state_bits"]
    one.tell(claimed.number, [1 / bits, bits], {RESULT: {}}, 0.1 - 1 / bits)


@pytest.mark.parametrize("sampler", ["nsgaii", "tpe", "grid"])
def test_processes_that_share_a_search_try_every_setting_once(sampler: str, tmp_path: Path) -> None:
    one, other = (study(tmp_path, sampler) for _ in range(2))
    tried = []
    while True:
        with ExitStack() as claims:
            batches = [(by, by.next_batch(2, claims)) for by in (one, other)]
            tried += [claimed.name for _, batch in batches for claimed in batch]
            for by, batch in batches:
                for claimed in batch:
                    run(by, claimed)
        if not any(batch for _, batch in batches):
            break
    assert len(tried) == len(set(tried)) == SPACE.size
    assert one.running() == 0


def test_as_many_trials_as_wanted_are_tried_and_more_when_more_are_wanted(tmp_path: Path) -> None:
    for trials in (3, 5):
        one = study(tmp_path, trials=trials)
        with ExitStack() as claims:
            for claimed in one.next_batch(100, claims):
                run(one, claimed)
        assert len(one.trials()) == trials


def test_trial_whose_process_has_gone_goes_on_in_another_with_the_same_settings(tmp_path: Path) -> None:
    one = study(tmp_path)
    with ExitStack() as claims:
        (first,) = one.next_batch(1, claims)
        assert study(tmp_path, trials=1).next_batch(1, claims) == []  # it is held
    with ExitStack() as claims:
        assert study(tmp_path, trials=1).next_batch(1, claims) == [first]


def test_infeasible_settings_do_not_count_and_failed_ones_do(tmp_path: Path) -> None:
    one = study(tmp_path, "grid", trials=6, impossible=4)
    with ExitStack() as claims:
        for number, claimed in enumerate(one.next_batch(100, claims)):
            one.tell(claimed.number, None, {FAILED: "killed"}) if number == 0 else run(one, claimed)
    notes = [trial.user_attrs for trial in one.trials()]
    assert sum(FAILED in note for note in notes) == 1
    assert sum(RESULT in note for note in notes) == 5
    assert {note[INFEASIBLE] for note in notes if INFEASIBLE in note} == {"silent"}
    assert study(tmp_path, "grid", trials=6).next_batch(9, ExitStack()) == []


def test_last_line_that_a_killed_process_has_cut_off_is_dropped(tmp_path: Path) -> None:
    with ExitStack() as claims:
        study(tmp_path).next_batch(2, claims)
    journal = tmp_path / JOURNAL
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 4, "wor')
    assert len(study(tmp_path).trials()) == 2
    assert journal.read_bytes().startswith(whole)


class Hostile:
    """What runs something when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("owned"),))  # type: ignore[return-value]


@pytest.mark.parametrize(
    "line",
    [
        pickle.dumps(Hostile()) + b"\n",
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b'{"op_code": 99, "worker_id": "a"}\n',
        b"{}\n",
    ],
    ids=["pickle", "bytes", "nesting", "operation", "empty"],
)
def test_broken_line_is_one_error_that_names_it_and_nothing_is_run(line: bytes, tmp_path: Path) -> None:
    with ExitStack() as claims:
        study(tmp_path).next_batch(1, claims)
    number = len((tmp_path / JOURNAL).read_bytes().splitlines()) + 1
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(line)
    with pytest.raises(RunFolderError, match=rf"not the journal of a search \(line {number} is broken\)"):
        study(tmp_path)
    assert not Path("owned").exists()


def test_operations_that_do_not_fit_together_are_one_error(tmp_path: Path) -> None:
    operation = {"op_code": 0, "worker_id": "a"}
    (tmp_path / JOURNAL).write_text(json.dumps(operation) + "\n")
    with pytest.raises(RunFolderError, match="not the journal of a search"):
        study(tmp_path)


def test_journal_of_another_space_is_refused(tmp_path: Path) -> None:
    with ExitStack() as claims:
        study(tmp_path).next_batch(3, claims)
    one = SPACE.dimensions[0]
    smaller = SPACE._replace(dimensions=(one._replace(values=(1,)), SPACE.dimensions[1]._replace(name="error_bits")))
    with pytest.raises(RunFolderError, match="is of another search"):
        Study(tmp_path, replace(Search(), trials=3), smaller, lambda settings: None)


def test_trial_that_was_ended_from_outside_is_left_to_the_next_start(tmp_path: Path) -> None:
    one = study(tmp_path, trials=1)
    with ExitStack() as claims:
        (first,) = one.next_batch(1, claims)
        one.leave(first.number, "killed by SIGKILL")
    assert one.next_batch(1, ExitStack()) == []
    assert one.running() == 0
    other = study(tmp_path, trials=1)
    assert other.trials()[0].user_attrs[KILLED] == "killed by SIGKILL"
    with ExitStack() as claims:
        assert other.next_batch(1, claims) == [first]
        assert other.trials()[0].user_attrs[KILLED] == ""


def test_folders_of_trials_that_the_journal_has_lost_are_known(tmp_path: Path) -> None:
    with ExitStack() as claims:
        for claimed in study(tmp_path).next_batch(3, claims):
            run = tmp_path / TRIALS / claimed.name / "seed_0"
            run.mkdir(parents=True)
            (run / "summary.json").write_text("{}")
    assert study(tmp_path).unknown == []
    (tmp_path / JOURNAL).write_bytes(b"".join((tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)[:2]))
    assert len(study(tmp_path).unknown) == 3


@pytest.mark.parametrize("name", [JOURNAL, ".turn"])
def test_pipe_in_place_of_a_file_is_refused_and_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(RunFolderError, match=r"is not the journal of a search \(it is no regular file"):
        study(tmp_path)
