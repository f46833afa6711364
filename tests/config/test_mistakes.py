"""Every mistake in a config gets one line that names the key, the value, what is allowed and what to do."""

from pathlib import Path

import pytest
import torch

from qsnn.command import fail
from qsnn.config.building.run import build_run, to_config
from qsnn.config.command_line import compose_config, prepare_arguments
from qsnn.config.training import train
from qsnn.errors import ConfigError, QsnnError

WIDTHS = "allowed are 1..16, null for full precision, or a list of these, one a layer"
MISTAKES = {
    "quantization.state_bits=17": f"quantization.state_bits=17 is not possible: {WIDTHS}",
    "quantization.weight_bit=4": "unknown key 'quantization.weight_bit': did you mean quantization.weight_bits?",
    "weight_bits=4": "unknown key 'weight_bits': did you mean quantization.weight_bits?",
    "+foo=1": "unknown key 'foo'",
    "=3": "unknown key ''",
    "quantization.weight_bits": "'quantization.weight_bits' is not understood: write key=value",
    "~seed": "~seed: keys and groups cannot be removed",
    "quantization.weight_bits=abc": f"quantization.weight_bits=abc is not possible: {WIDTHS}",
    "quantization.weight_bits=2.5": f"quantization.weight_bits=2.5 is not possible: {WIDTHS}",
    "quantization.weight_bits=true": WIDTHS,
    "quantization.weight_bits={a: 1}": WIDTHS,
    "quantization.weight_bits=[8,17]": f"quantization.weight_bits=[8, 17] is not possible: {WIDTHS}",
    "quantization.weight_bits=[8,2,4]": "the net has 2 layers: give one width, or a list of 2",
    "quantization.gradient_bits=[8,null]": "round the gradients of all layers or, with null, of none",
    "quantization.rng_bits=[16,16]": "of type 'list' could not be converted to Integer",
    "quantization.rng_bits=2.5": "could not be converted to Integer",
    "seed=null": "seed=null: field 'seed' is not Optional",
    "quantization.weight_bits=2,4": "holds several values: add -m to sweep",
    "optimizer=adamx": "optimizer=adamx does not exist: did you mean optimizer=adamax? options are adam, adam_conv, adam_g",
    "model=null": "model=null does not exist: options are conv, feedforward, gesture_bptt, gesture_conv, gesture_s",
    "experiment=nope": "experiment=nope does not exist: options are",
    "optimizer.momentum=0.9": "this key belongs to optimizer=sgd, which is not the one chosen",
    "quantization.weight_bits=17": WIDTHS,
    "quantization.weight_bits=0": WIDTHS,
    "quantization.rng_bits=25": "quantization.rng_bits=25 is not possible: it must be at least 1 and at most 24",
    "quantization.rng_rule=fair": "quantization.rng_rule=fair is not possible: allowed are original, unbiased",
    "quantization.state_bits=4": "the largest state of 4 bits is 0.875, so no neuron would ever spike; use at least 5 bits",
    "quantization.state_bits=[8,4]": "quantization.membrane_bits=4 cannot reach neuron.threshold=0.9",
    "quantization.membrane_bits=4": "cannot reach neuron.threshold=0.9",
    "neuron.threshold=1.5": "so no neuron would ever spike; use a lower neuron.threshold",
    "neuron.decay=expo": "allowed are exponential, euler, dyadic",
    "neuron.membrane_decay=1.0": "a decay per step lies in [0, 1)",
    "neuron.tau_mem=-1": "neuron.tau_mem=-1.0 is not possible: it must be above 0",
    "neuron.tau_mem=1e300": "neuron.tau_mem=1e+300 is not possible: it must be above 0 and at most 1048.58",
    "neuron.tau_syn=1e9": "neuron.tau_syn=1000000000.0 is not possible: it must be above 0 and at most 1048.58",
    "loss.tau_vr=1e300": "loss.tau_vr=1e+300 is not possible",
    "loss.tau_vr=1e-300": "loss.tau_vr=1e-300 is not possible: it must be at least 9.53674e-10 and at most 1048.58",
    "neuron.dt=1e300": "neuron.dt=1e+300 is not possible: it must be at least 1e-09 and at most 1000",
    "neuron.dt=1e-300": "neuron.dt=1e-300 is not possible",
    "neuron.membrane_decay=0.999999999": "neuron.membrane_decay=0.999999999 is not possible: a decay per step lies in [0, 1)",
    "neuron.surrogate_slope=1e300": "neuron.surrogate_slope=1e+300 is not possible: it must be at least 0 and at most 1e+09",
    "model.init_beta=1e300": "model.init_beta=1e+300 is not possible",
    "trainer.epochs=-1": "trainer.epochs=-1 is not possible: it must be at least 0",
    "optimizer.betas=[0.9]": "give two numbers, such as [0.9,0.999]",
    "optimizer.eta=nan": "optimizer.eta=nan is not possible",
    "dataset.density=1.5": "dataset.density=1.5 is not possible: it must be at least 0 and at most 1",
    "dataset.target=smil": "smile",
    "dataset.target=/no/such.png": "/no/such.png",
    "dataset.input=/no/such.npy": "/no/such.npy does not exist",
    "kernels=blah": "allowed are auto, eager, numba, triton",
    "kernels=triton": "kernels=triton",
    "device=foo": "allowed are cpu, cuda and cuda:<index>",
    "optimizer.lr_schedule=cos": "allowed are constant, cosine, linear, halving",
    "name=a/b": "name=a/b is not possible: it names a folder: up to 180 bytes of letters, digits and .,=+@:_-",
    "name=..": "name=.. is not possible: it names a folder",
    "name=.": "name=. is not possible: it names a folder",
    "name=/tmp/x": "name=/tmp/x is not possible: it names a folder",
    "name='a b'": "name=a b is not possible: it names a folder",
    "name=''": "name= is not possible: it names a folder",
    f"name={'n' * 181}": "n is not possible: it names a folder: up to 180 bytes",
    "name=${oc.env:HOME}": "is not possible: it names a folder",
}
# Wherever these are read, torch finds no such device.
if not torch.cuda.is_available():
    MISTAKES["device=cuda"] = "torch finds 0 CUDA devices; use device=cpu"


@pytest.mark.parametrize("override", MISTAKES)
def test_mistake_is_explained_in_one_line(override: str, tmp_path: Path) -> None:
    words = [*(["loss=van_rossum"] if override.startswith("loss.") else []), override]
    with pytest.raises(QsnnError) as caught:
        build_run(to_config(compose_config(prepare_arguments(words))), tmp_path)
    assert MISTAKES[override] in str(caught.value)
    assert len(caught.value.args) == 1
    assert "\n" not in str(caught.value)


REFUSED = {
    **{text: text.split("=")[0] for text in ("quantization.weight_bits=33", "kernels=triton", "device=foo", "name=..")},
    "dataset.target=/no/such.png": "/no/such.png does not exist",
    "experiment=nmnist_small": "dataset.root=null is not possible: give the folder",
    "experiment=nmnist_small dataset.root=/no/such": "dataset.root=/no/such is not a folder",
    "experiment=gesture_demo model.kernel_size=[99]": "model: layer1 gets maps of 16 x 16 and would make 0 x 0",
}


@pytest.mark.parametrize("words", REFUSED)
def test_single_run_is_refused_before_it_has_a_folder(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(QsnnError) as caught:
        train(words.split())
    assert str(caught.value).startswith(REFUSED[words])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [("input", torch.zeros(700, 240), "dataset.num_steps"), ("target", torch.zeros(250, 200), "dataset.num_outputs")],
)
def test_data_that_does_not_fit_the_net_names_the_keys_to_change(
    name: str, array: torch.Tensor, message: str, tmp_path: Path
) -> None:
    torch.save(array, tmp_path / "data.pt")
    with pytest.raises(QsnnError, match=message):
        build_run(to_config(compose_config([f"dataset.{name}={tmp_path}/data.pt"])), tmp_path)


def test_mistake_in_a_sweep_is_found_before_its_first_run(tmp_path: Path) -> None:
    with pytest.raises(QsnnError, match=r"quantization\.weight_bits=foo"):
        prepare_arguments(["-m", "quantization.weight_bits=2,foo"])


def test_flags_are_taken_before_and_after_overrides() -> None:
    for words in (["seed=1", "-m", "name=a"], ["-m", "seed=1", "name=a"]):
        assert {"-m", "name=a", "seed=1"} < set(prepare_arguments(words))


ALL_AT_ONCE = [
    ("foo=1", "unknown key 'foo'"),
    ("optimizer.ete=1", "did you mean optimizer.eta?"),
    ("quantization.rng_bits=abc", "could not be converted to Integer"),
    ("quantization.error_bits=abc", "allowed are 1..16"),
    ("seed=null", "field 'seed' is not Optional"),
    ("trainer.checkpoint_every=0", "it must be at least 1"),
    ("kernels=x", "allowed are auto, eager, numba, triton"),
    ("quantization.weight_bits=17", "allowed are 1..16"),
    ("dataset.density=2", "it must be at least 0 and at most 1"),
    ("loss.van_rossum_decay=1", "a decay per step lies in [0, 1)"),
]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        prepare_arguments(["loss=van_rossum", *(override for override, _ in ALL_AT_ONCE)])
    told = caught.value.args
    assert len(told) == len(ALL_AT_ONCE)
    for override, reason in ALL_AT_ONCE:
        assert any(reason in text and override.split("=")[0] in text for text in told), override


def test_several_mistakes_are_printed_one_a_line_and_told_in_one(capsys: pytest.CaptureFixture[str]) -> None:
    error = ConfigError("a=1 is not possible", "b=2 is not possible")
    assert str(error) == "2 things are wrong: (1) a=1 is not possible; (2) b=2 is not possible"
    with pytest.raises(SystemExit):
        fail(error)
    assert capsys.readouterr().err == "error: 2 things are wrong\n  a=1 is not possible\n  b=2 is not possible\n"


def test_mistakes_of_local_learning_are_told_at_once_without_those_that_only_follow() -> None:
    words = ["neuron.dt=0", "trainer.dropout=2", "dataset.fold=3", "dataset.validation_share=1", "dataset.num_users=0"]
    with pytest.raises(ConfigError) as caught:
        to_config(compose_config(["experiment=gesture_demo", *words]))
    assert [text.split("=")[0] for text in caught.value.args] == [
        "neuron.dt", "dataset.validation_share", "dataset.num_users", "dataset.fold", "trainer.dropout"
    ]  # fmt: skip


def test_group_that_does_not_exist_is_told_without_the_keys_that_it_would_bring() -> None:
    with pytest.raises(ConfigError) as caught:
        prepare_arguments(["experiment=nope", "trainer.dropout=0.1", "foo=1"])
    assert len(caught.value.args) == 2


@pytest.mark.parametrize(
    ("word", "taken"),
    [
        ("seed=null", "a whole number, at least 0 and at most 9223372036854775808"),
        ("optimizer.lr=[1]", "a number, above 0"),
        ("model.hidden=3", "a list of whole numbers, such as [1,2], each at least 1"),
        ("model.hidden=[a]", "a list of whole numbers, such as [1,2], each at least 1"),
        ("name=null", "text"),
        ("sweep=3", "values by its keys alone: name"),
    ],
)
def test_value_of_a_wrong_type_is_told_with_what_its_key_takes(word: str, taken: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose_config(["experiment=quick", word])
    assert str(caught.value).startswith(word.split("=")[0])
    assert f"; it takes {taken}" in str(caught.value)
    assert "\n" not in str(caught.value)
