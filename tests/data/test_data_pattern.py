import numpy as np
import pytest
import torch
from PIL import Image

from qsnn.data.generators.targets import draw_target, keep_pixels
from qsnn.data.sources.pattern import Pattern, load_pattern


def load(**changed: object) -> Pattern:
    settings = {
        "input": None,
        "target": "smile",
        "num_steps": 40,
        "num_inputs": 30,
        "num_outputs": 20,
        "density": 1.0,
        "threshold": 0.5,
        "seed": 0,
    }
    return load_pattern(**(settings | changed))


@pytest.fixture
def spikes() -> np.ndarray:
    """An input raster, bool [40 steps, 30 channels]."""
    return np.random.default_rng(1).random((40, 30)) < 0.3


@pytest.fixture
def answer() -> np.ndarray:
    """A target raster, bool [40 steps, 20 outputs]."""
    return np.random.default_rng(2).random((40, 20)) < 0.3


def test_load_pattern_gives_time_batch_of_one_neurons_in_float32():
    pattern = load()
    assert pattern.input.shape == (40, 1, 30)
    assert pattern.target.shape == (40, 1, 20)
    for spikes in pattern:
        assert spikes.dtype == torch.float32
        assert spikes.is_contiguous()
        assert set(spikes.unique().tolist()) == {0.0, 1.0}


def test_load_pattern_is_the_same_for_the_same_arguments():
    assert all(torch.equal(first, again) for first, again in zip(load(density=0.5), load(density=0.5), strict=True))


def test_load_pattern_draws_input_and_target_from_separate_streams():
    full, thin, other_seed, other_size = load(), load(density=0.3), load(seed=1, density=0.3), load(num_outputs=25)
    assert torch.equal(full.input, thin.input)
    assert torch.equal(full.input, other_size.input)
    assert not torch.equal(thin.input, other_seed.input)
    assert not torch.equal(thin.target, other_seed.target)
    assert torch.equal(load(num_inputs=11, density=0.3).target, thin.target)


def test_load_pattern_thins_a_drawing_to_the_density():
    expected = keep_pixels(draw_target("smile", 40, 20), 0.6, seed=0)
    assert np.array_equal(load(density=0.6).target[:, 0].numpy(), expected)


def test_load_pattern_reads_the_original_layout_of_an_input(tmp_path, spikes):
    torch.save(torch.from_numpy(spikes.T.copy()).float(), tmp_path / "input_30_40.pkl")
    assert np.array_equal(load(input=str(tmp_path / "input_30_40.pkl")).input[:, 0].numpy(), spikes)


def test_load_pattern_reads_an_input_with_time_first_where_only_that_fits(tmp_path, spikes):
    np.save(tmp_path / "input.npy", spikes)
    assert np.array_equal(load(input=str(tmp_path / "input.npy")).input[:, 0].numpy(), spikes)


def test_load_pattern_takes_a_square_input_with_channels_first(tmp_path, spikes):
    np.save(tmp_path / "input.npy", spikes[:30])
    pattern = load(input=str(tmp_path / "input.npy"), num_steps=30)
    assert np.array_equal(pattern.input[:, 0].numpy(), spikes[:30].T)


def test_load_pattern_uses_an_array_target_as_it_is(tmp_path, answer):
    np.save(tmp_path / "target.npy", answer)
    assert np.array_equal(load(target=str(tmp_path / "target.npy"), density=0.1).target[:, 0].numpy(), answer)


def test_load_pattern_reads_both_rasters_from_one_npz(tmp_path, spikes, answer):
    path = str(tmp_path / "pattern.npz")
    np.savez(path, input=spikes.T, target=answer)
    pattern = load(input=path, target=path)
    assert np.array_equal(pattern.input[:, 0].numpy(), spikes)
    assert np.array_equal(pattern.target[:, 0].numpy(), answer)


def test_load_pattern_reads_a_picture_with_time_to_the_right_and_thins_it(tmp_path, answer):
    Image.fromarray(answer.T.astype(np.uint8) * 255).save(tmp_path / "a.png")
    target = str(tmp_path / "a.png")
    assert np.array_equal(load(target=target).target[:, 0].numpy(), answer)
    assert np.array_equal(load(target=target, density=0.5).target[:, 0].numpy(), keep_pixels(answer, 0.5, seed=0))
    assert load(target=target, threshold=1.0).target.sum() == 0


def test_load_pattern_finds_files_in_the_home_folder(tmp_path, monkeypatch, answer):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.save(tmp_path / "target.npy", answer)
    assert np.array_equal(load(target="~/target.npy").target[:, 0].numpy(), answer)


def test_load_pattern_names_the_settings_where_an_input_does_not_fit(tmp_path, message_of):
    np.save(tmp_path / "input.npy", np.zeros((700, 250)))
    message = message_of(load, input=str(tmp_path / "input.npy"))
    assert message == (
        f"{tmp_path}/input.npy holds an array of shape [700, 250]; an input has [num_inputs, num_steps] = [30, 40] "
        "or its transpose: change dataset.num_inputs and dataset.num_steps, or the file"
    )


def test_load_pattern_names_the_settings_where_a_target_does_not_fit(tmp_path, answer, message_of):
    np.save(tmp_path / "target.npy", answer.T)
    message = message_of(load, target=str(tmp_path / "target.npy"))
    assert message == (
        f"{tmp_path}/target.npy holds an array of shape [20, 40]; a target has [num_steps, num_outputs] = [40, 20]: "
        "change dataset.num_steps and dataset.num_outputs, or the file"
    )


def test_load_pattern_lists_the_built_in_names_and_the_nearest_for_an_unknown_target(message_of):
    message = message_of(load, target="smlie")
    assert "target 'smlie' is not built in" in message
    assert "did you mean 'smile'?" in message
    assert "built in are smile, tree, nd, lab, nand and letters:TEXT" in message
    assert "files end in .npy .npz" in message


def test_load_pattern_does_not_guess_a_target_that_is_like_none(message_of):
    assert "did you mean" not in message_of(load, target="/data/qqqq")


@pytest.mark.parametrize("target", ["missing.npy", "missing.png"])
def test_load_pattern_names_a_missing_target_file(target, message_of):
    assert f"{target} does not exist" in message_of(load, target=target)


def test_load_pattern_takes_no_picture_as_an_input(message_of):
    assert "an array is read from a file ending in" in message_of(load, input="input.png")
