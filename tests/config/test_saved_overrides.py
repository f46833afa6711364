"""A run's folder that somebody sent: what its list of overrides may set, and what it may not."""

from pathlib import Path

import pytest

from qsnn.config.command_line import parse_overrides, prepare_arguments, saved_and_given
from qsnn.config.saved_overrides import inherited_overrides
from qsnn.config.scoring import score_run
from qsnn.errors import ConfigError, QsnnError, RunFolderError

LEGITIMATE = [
    "experiment=quick", "+experiment=pattern_w2", "quantization=full_precision", "quantization.weight_bits=4", "+seed=3",
    "++seed=3", "quantization.weight_bits=null", "name='a, b=c'", "dataset.target=letters:lab", "optimizer.betas=[0.5,0.9]",
    "dataset.num_inputs=${dataset.num_outputs}", "dataset.input='/data/it\\'s here/x.npy'", "optimizer.lr=1e-3",
    "quantization.weight_bits=[8,2]", "name=${quantization.weight_bits}_${seed}", "logging.limits={low: 0.1}", "name=",
]  # fmt: skip
HOSTILE = [
    "+hydra.callbacks.e._target_=qsnn.train.main", "hydra.callbacks.e={_target_: os.system}", "++hydra.run.dir=/tmp/x",
    "+hydra.job_logging.handlers.x={class: logging.FileHandler, filename: /tmp/x}", "hydra/job_logging=none",
    "+hydra/launcher=basic", "hydra.searchpath=[file:///tmp]", "~hydra.run", "hydra.output_subdir=../../x",
    "hydra/callbacks@x=y", "dataset@hydra.callbacks=nmnist", "dataset@name=nmnist", "~seed", "seed=0,1", "seed=range(0,9)",
    "optimizer=glob(*)", "name=${oc.env:HOME}", "name=${qsnn.timestamp:}", "name=a_${now:%Y}", "name='${oc.env:HOME}'",
    "name=[${oc.env:HOME}]", "name=${hydra.job.name}", "name=${${seed}:x}", "name=${oc.decode:'1'}", "seed", "",
    "seed=1\nhydra.run.dir=/tmp", "name=${model.${oc.env:HOME}}", "hydra={run: {dir: /tmp/x}}",
    "dataset={_target_: ${oc.env:HOME}}",
]  # fmt: skip
UNKNOWN = [
    "_target_=os.system",
    "model._target_=os.system",
    "+model.group=x",
    "trainer.widths=[]",
    "model.num_hidden=4",
    "+dataset.callbacks=3",
    "experiment=../../x",
    "+a.b=3",
    "= 3",
]


def folder_with(tmp_path: Path, overrides: list[str]) -> Path:
    (tmp_path / ".hydra").mkdir(exist_ok=True)
    lines = ["- " + repr(text) if "\n" not in text else '- "' + text.replace("\n", "\\n") + '"' for text in overrides]
    (tmp_path / ".hydra" / "overrides.yaml").write_text("\n".join(lines) or "[]")
    return tmp_path


@pytest.mark.parametrize("text", LEGITIMATE)
def test_setting_of_a_run_passes(text: str, tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    quoted = '- "' + text.replace("\\", "\\\\") + '"\n'
    (tmp_path / ".hydra" / "overrides.yaml").write_text(quoted)
    assert inherited_overrides(tmp_path, []) == [text]
    parse_overrides([text])


@pytest.mark.parametrize("text", HOSTILE)
def test_setting_that_no_run_has_is_refused_before_anything_is_composed(text: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, ["seed=1", text])
    for start in (lambda: prepare_arguments([f"resume={folder}"]), lambda: score_run([f"run={folder}"])):
        with pytest.raises(RunFolderError) as caught:
            start()
        assert str(caught.value).startswith(f"{folder}/.hydra/overrides.yaml: ")
        assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [".hydra"]


@pytest.mark.parametrize("text", UNKNOWN)
def test_key_that_the_schema_does_not_have_is_refused(text: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, [text])
    for start in (lambda: prepare_arguments([f"resume={folder}"]), lambda: score_run([f"run={folder}"])):
        with pytest.raises(ConfigError, match=r"unknown key|does not exist|is now"):
            start()


def test_setting_that_is_given_anew_is_not_taken_from_the_folder(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, ["dataset.root=${oc.env:DATA}", "seed=1", "resume=a"])
    with pytest.raises(RunFolderError, match=r"calls a resolver, .* give dataset.root=... on the command line"):
        inherited_overrides(folder, [])
    assert inherited_overrides(folder, ["dataset.root=/data", "+seed=2"]) == ["dataset.root=/data", "+seed=2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 3", "is not a list of overrides"),
        ("- [a]", "is not a list of overrides"),
        ("- !!python/object/apply:os.system ['touch ran']", "is not a list of overrides"),
        ("- 'a", "is not readable"),
        ("[" * 5000, "is not readable"),
        ("\x00", "is not readable"),
        ("a: &a [x]\nb: &b [*a, *a]", "is not a list of overrides"),
        ("- x\n" * 600_000, "bytes; the overrides of a run have at most"),
    ],
)
def test_file_of_something_else_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text(text)
    with pytest.raises(RunFolderError, match=message):
        inherited_overrides(tmp_path, [])
    (tmp_path / ".hydra" / "overrides.yaml").write_bytes(b"- \xff\xfe=1")
    with pytest.raises(RunFolderError, match="is not readable"):
        inherited_overrides(tmp_path, [])


def test_pickle_of_hydra_is_not_read() -> None:
    with pytest.raises(QsnnError, match="--experimental-rerun reads a pickle"):
        prepare_arguments(["--experimental-rerun", "config.pickle"])


def test_unknown_key_in_a_folder_is_told_with_its_file(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, ["seed=1", "+foo=1"])
    with pytest.raises(ConfigError, match=r"\.hydra/overrides\.yaml: unknown key 'foo'"):
        saved_and_given(folder, ["seed=2"])
    assert saved_and_given(folder_with(tmp_path, ["seed=1", "threads=2"]), ["seed=2"]) == ["threads=2", "seed=2"]
