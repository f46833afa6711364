"""dataset=shd and dataset=ssc on small files in their layout, written by h5py: recordings and splits."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from heidelberg_files import STORAGES, Message, trains, write, write_shd

from qsnn.data.events.batches import test_batches as batches_of
from qsnn.data.events.prepare import prepare_dataset
from qsnn.data.formats.spikes_hdf5 import num_spike_trains, read_spikes
from qsnn.data.sources.shd import SHD, SSC, HeidelbergSpikes, SHDOption, SSCOption
from qsnn.errors import ConfigError
from qsnn.options import value_problems


def write_ssc(root: Path, speakers: list[int] | None = None) -> None:
    for seed, part in enumerate(("train", "valid", "test")):
        write(root / f"ssc_{part}.h5", trains(seed, 8), [34 - n for n in range(8)], speakers)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("time_type", ["f2", "f4", "f8"])
def test_read_spikes_gives_microseconds_and_units_however_they_are_kept(
    tmp_path: Path, storage: dict[str, Any], time_type: str
) -> None:
    written = trains(0, 7, time_type)
    written[3] = (np.linspace(0, 1, 5000).astype(time_type), (np.arange(5000) % 700).astype("u2"))
    path = write(tmp_path / "x.h5", written, [0, 1, 2, 3, 4, 5, 6], [9] * 7, **storage)
    read = list(read_spikes(path, 700, 20, speakers=True))
    assert num_spike_trains(path) == len(read) == 7
    for number, (train, (t, unit)) in enumerate(zip(read, written, strict=True)):
        assert train.t.tolist() == np.rint(t.astype("f8") * 1e6).astype("i8").tolist()
        assert train.unit.tolist() == unit.tolist()
        assert (train.label, train.speaker, train.num_late) == (number, 9, 0)
        assert (train.t.dtype, train.unit.dtype) == (np.int64, np.int16)


def test_read_spikes_sorts_what_is_out_of_order_and_counts_it(tmp_path: Path) -> None:
    late = (np.array([0.5, 0.25, 0.75], "f4"), np.array([1, 2, 3], "u2"))
    (train,) = read_spikes(write(tmp_path / "x.h5", [late], [0], None), 700, 20, speakers=False)
    assert train.t.tolist() == [250_000, 500_000, 750_000]
    assert train.unit.tolist() == [2, 1, 3]
    assert train.num_late == 1


def test_shd_yields_a_row_of_channels_with_a_group_for_each_speaker(tmp_path: Path) -> None:
    written = write_shd(tmp_path)
    source = HeidelbergSpikes(tmp_path, SHD)
    recordings = list(source.recordings())
    assert len(source) == len(recordings) == 18
    assert source.sensor == (1, 700)
    assert source.classes == tuple(str(label) for label in range(20))
    for recording in recordings:
        part, number = recording.name.split("/")
        assert recording.events.x.tolist() == written[part][int(number)][1].tolist()
        assert not recording.events.y.any()
        assert recording.events.polarity.all()
        assert recording.is_test == (part == "test")
    assert [recording.group for recording in recordings[:5]] == [f"speaker {number}" for number in (0, 1, 2, 3, 0)]


@pytest.mark.parametrize("seed", range(4))
def test_shd_never_has_a_speaker_in_training_and_in_validation(tmp_path: Path, seed: int) -> None:
    write_shd(tmp_path)
    option = SHDOption(root=str(tmp_path), cache=str(tmp_path / "cache"), validation_share=0.3, seed=seed)
    prepared = option.prepare(progress=False)
    parts = option.split(prepared)
    speakers = [set(prepared.groups[part]) for part in parts]
    assert not speakers[0] & speakers[1]
    assert speakers[2] == {"speaker 4", "speaker 5"}
    folds = SHDOption(num_folds=3, fold=1, validation_share=0.3, seed=seed).split(prepared)
    assert not set(prepared.groups[folds.train]) & set(prepared.groups[folds.test])


def test_shd_becomes_a_raster_of_its_channels(tmp_path: Path) -> None:
    written = write_shd(tmp_path)["test"]
    option = SHDOption(root=str(tmp_path), cache=str(tmp_path / "cache"))
    prepared = option.prepare(progress=False)
    batch = next(iter(batches_of(prepared, option.split(prepared).test, option.windows(0.001, training=False), 6)))
    raster = batch.input
    assert raster.shape == (1000, 6, 1, 1, 700)
    for sample, (t, unit) in enumerate(written):
        expected = np.zeros((1000, 700))
        kept = np.rint(t.astype("f8") * 1e6) < 1e6
        expected[np.rint(t.astype("f8") * 1e6).astype(int)[kept] // 1000, unit[kept]] = 1
        assert np.array_equal(np.asarray(raster[:, sample, 0, 0]), expected)


@pytest.mark.parametrize("speakers", [None, [1, 1, 2, 2, 3, 3, 4, 4]])
def test_ssc_validates_on_its_own_file(tmp_path: Path, speakers: list[int] | None) -> None:
    write_ssc(tmp_path, speakers)
    option = SSCOption(root=str(tmp_path), cache=str(tmp_path / "cache"))
    prepared = option.prepare(progress=False)
    parts = option.split(prepared)
    assert [set(prepared.names[part]) for part in parts] == [
        {f"{part}/{number}" for number in range(8)} for part in ("train", "valid", "test")
    ]
    assert prepared.groups[0] == ("train/0" if speakers is None else "speaker 1")
    none = SSCOption(validation_share=0.0).split(prepared)
    assert (len(none.train), len(none.validation), len(none.test)) == (16, 0, 8)
    folds = SSCOption(num_folds=3, validation_share=0.4).split(prepared)
    assert len(folds.train) + len(folds.validation) + len(folds.test) == 24


def test_shd_and_ssc_say_what_to_download_or_to_unpack(tmp_path: Path, message_of: Message) -> None:
    for release, option in ((SHD, SHDOption()), (SSC, SSCOption())):
        assert not [*value_problems(option, "dataset."), *option.problems(), *option.problems_at(0.001)]
        with pytest.raises(ConfigError, match=r"dataset\.root=null is not possible: .*download "):
            option.source()
        source = HeidelbergSpikes(tmp_path, release)
        assert f"{release.name}_train.h5 is missing; download {release.name}_train.h5.gz, " in message_of(
            source.fingerprint
        )
        (tmp_path / f"{release.name}_train.h5.gz").write_bytes(b"x")
        said = message_of(source.fingerprint)
        assert f"{release.name}_train.h5 is not there, but {release.name}_train.h5.gz: unpack it; " in said
        assert said.endswith("as dataset.root=...")


def test_shd_names_the_extra_if_h5py_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message_of: Message
) -> None:
    write_shd(tmp_path)
    usual = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "h5py":
            raise ImportError(name)
        return usual(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    said = message_of(prepare_dataset, HeidelbergSpikes(tmp_path, SHD), tmp_path / "cache", progress=False)
    assert said == (
        "reading shd_train.h5 needs h5py, which is not installed: pip install h5py, or qsnn with its extra, "
        "pip install 'qsnn[hdf5]'"
    )
