"""dataset=shd and dataset=ssc on small files in their layout, written by h5py: recordings, splits, and every kind of damage."""

import builtins
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")

from qsnn.data.events.batches import test_batches as batches_of  # noqa: E402
from qsnn.data.events.prepare import prepare_dataset  # noqa: E402
from qsnn.data.formats.spikes_hdf5 import num_spike_trains, read_spikes  # noqa: E402
from qsnn.data.sources.shd import SHD, SSC, HeidelbergSpikes, SHDOption, SSCOption  # noqa: E402
from qsnn.errors import ConfigError  # noqa: E402
from qsnn.options import value_problems  # noqa: E402

Message = Callable[..., str]
Trains = list[tuple[np.ndarray, np.ndarray]]


def trains(seed: int, count: int, time_type: str = "f2") -> Trains:
    """Recordings of up to 40 spikes, the first one of none."""
    rng = np.random.default_rng(seed)
    sizes = [0, *rng.integers(1, 40, count - 1)]
    return [(np.sort(rng.random(size)).astype(time_type), rng.integers(0, 700, size).astype("u2")) for size in sizes]


def arrays(file: Any, name: str, values: list, **storage: Any) -> None:
    entry = file.create_dataset(name, (len(values),), h5py.vlen_dtype(values[-1].dtype), **storage)
    for index, value in enumerate(values):
        entry[index] = value


def write(path: Path, recordings: Trains, labels: list[int], speakers: list[int] | None, **storage: Any) -> Path:
    """A file in the published layout; ``storage``: how HDF5 keeps the variable-length arrays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        arrays(file, "spikes/times", [t for t, _ in recordings], **storage)
        arrays(file, "spikes/units", [unit for _, unit in recordings], **storage)
        file["labels"] = np.array(labels, dtype="u2")
        if speakers is not None:
            file["extra/speaker"] = np.array(speakers, dtype="u2")
    return path


def write_shd(root: Path) -> dict[str, Trains]:
    """12 recordings of 4 speakers for training, 6 of 2 other ones for testing."""
    written = {"train": trains(1, 12), "test": trains(2, 6)}
    write(root / "shd_train.h5", written["train"], [n % 20 for n in range(12)], [n % 4 for n in range(12)])
    write(root / "shd_test.h5", written["test"], [n % 20 for n in range(6)], [4 + n % 2 for n in range(6)])
    return written


def write_ssc(root: Path, speakers: list[int] | None = None) -> None:
    for seed, part in enumerate(("train", "valid", "test")):
        write(root / f"ssc_{part}.h5", trains(seed, 8), [34 - n for n in range(8)], speakers)


STORAGES: list[dict[str, Any]] = [
    {}, {"chunks": (3,), "maxshape": (None,)}, {"chunks": (5,), "compression": "gzip", "shuffle": True},
]  # fmt: skip


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


def all_missing(file: Any) -> None:
    del file["spikes"]


def not_a_group(file: Any) -> None:
    del file["spikes"]
    file["spikes"] = np.zeros(3)


def replaced(name: str, values: Any, **how: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[name]
        file.create_dataset(name, data=values, **how)

    return change


def vlen(name: str, kind: str) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[name]
        arrays(file, name, [np.arange(3).astype(kind)] * 5)

    return change


def entry(name: str, index: int, value: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        file[name][index] = value

    return change


def link(name: str, target: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file[name]
        file[name] = target

    return change


def virtual(file: Any) -> None:
    del file["labels"]
    layout = h5py.VirtualLayout((5,), "i4")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "labels", (5,))
    file.create_virtual_dataset("labels", layout)


def declared(name: str, shape: tuple[int, ...], kind: Any, **how: Any) -> Callable[[Any], None]:
    """An array that is declared, but never written."""

    def change(file: Any) -> None:
        del file[name]
        file.create_dataset(name, shape, kind, **how)

    return change


TIMES = h5py.vlen_dtype(np.dtype("f4"))
DAMAGE: list[tuple[Callable[[Any], None], str]] = [
    (all_missing, "has no spikes/times, expected one; at its top it has extra, labels; download it again"),
    (not_a_group, "has no spikes/times, expected one; at its top it has extra, labels, spikes"),
    (lambda file: file["spikes"].pop("units"), "has no spikes/units, expected one"),
    (lambda file: file.pop("labels"), "has no labels, expected one"),
    (lambda file: file.pop("extra"), "has no extra/speaker, expected one"),
    (replaced("spikes/times", np.zeros((5, 3))), "spikes/times is an array of shape (5, 3), expected one of one axis"),
    (replaced("spikes/times", np.zeros(5)), "spikes/times is of type float64, expected variable-length arrays of floats"),
    (replaced("spikes/units", ["a"] * 5), "spikes/units is of type object, expected variable-length arrays of integers"),
    (vlen("spikes/times", "i4"), "spikes/times is variable-length arrays of int32, expected variable-length arrays of floats"),
    (vlen("spikes/units", "f4"), "spikes/units is variable-length arrays of float32, expected variable-length arrays of int"),
    (replaced("labels", np.zeros(5)), "labels is of type float64, expected integers"),
    (replaced("labels", np.zeros((), "i4")), "labels is an array of shape (), expected one of one axis"),
    (replaced("extra/speaker", [b"ann"] * 5), "extra/speaker is of type object, expected integers"),
    (replaced("labels", np.zeros(4, "i4")), "has 5 spikes/times, 5 spikes/units, 4 labels, 5 extra/speaker, expected as many"),
    (entry("labels", 3, 20), "recording 3: its label is 20, expected 0..19"),
    (replaced("labels", np.array([0, -1, 0, 0, 0])), "recording 1: its label is -1, expected 0..19"),
    (entry("spikes/units", 2, np.array([700], "u2")), " units, expected as many"),
    (vlen("spikes/units", "u1"), "recording 0: 0 times and 3 units, expected as many"),
    (link("labels", h5py.ExternalLink("/etc/passwd", "labels")), "labels is a link to somewhere else, expected the array"),
    (link("spikes", h5py.SoftLink("/extra")), "spikes/times is a link to somewhere else"),
    (virtual, "labels is kept in another file, expected the array itself"),
    (replaced("labels", np.zeros(5, "i4"), external=[("no.bin", 0, 20)]), "labels is kept in another file"),
    (declared("spikes/times", (2**40,), TIMES, chunks=(8,)), "spikes/times declares 1099511627776 recordings, at most 1048576"),
    (declared("labels", (2**50,), "i4", chunks=(8,)), "labels declares 1125899906842624 recordings, at most 1048576 are read"),
    (declared("labels", (5,), "S1000000000"), "labels has entries of |S1000000000 in chunks of None: too large"),
    (declared("labels", (5,), "i4", chunks=(2**28,), maxshape=(None,)), "int32 in chunks of (268435456,): too"),
    (declared("spikes/times", (5,), TIMES), "recording 1: 0 times and "),
    (declared("spikes/times", (0,), TIMES), "has 0 spikes/times, 5 spikes/units"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("change", "message"), DAMAGE)
def test_read_spikes_names_what_is_wrong_in_a_file(
    tmp_path: Path, change: Callable[[Any], None], message: str, message_of: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "x.h5", trains(0, 5), [0, 1, 2, 3, 4], [1] * 5)
    with h5py.File(path, "r+") as file:
        change(file)
    said = message_of(lambda: list(read_spikes(path, 700, 20, speakers=True)))
    assert message in said
    assert str(path) in said


VALUES = [
    ([0.5, np.nan], [1, 2], "recording 1: a spike at nan s, expected 0..1000 s"),
    ([-0.001, 0.5], [1, 2], "a spike at -0.001"),
    ([0.5, np.inf], [1, 2], "a spike at inf s"),
    ([0.5, 1001.0], [1, 2], "a spike at 1001.0 s"),
    ([0.5, 0.6], [1, 700], "recording 1: a spike of unit 700, expected 0..699"),
    ([0.5, 0.6], [-1, 2], "recording 1: a spike of unit -1, expected 0..699"),
]  # fmt: skip


@pytest.mark.parametrize(("times", "units", "message"), VALUES)
def test_read_spikes_refuses_times_and_units_that_cannot_be(
    tmp_path: Path, times: list[float], units: list[int], message: str, message_of: Message
) -> None:
    good = (np.array([0.1], "f4"), np.array([3], "i4"))
    path = write(tmp_path / "x.h5", [good, (np.array(times, "f4"), np.array(units, "i4"))], [0, 1], None)
    assert message in message_of(lambda: list(read_spikes(path, 700, 20, speakers=False)))


@pytest.mark.parametrize("storage", STORAGES[:2])
@pytest.mark.parametrize("length", [2**32 - 1, 10**6, 7])
def test_read_spikes_refuses_lengths_that_the_file_cannot_hold(
    tmp_path: Path, storage: dict[str, Any], length: int, message_of: Message
) -> None:
    """The library would allocate 4 times 2^32 bytes for the first of these, and fill them, before it finds out."""
    path = write(tmp_path / "x.h5", trains(0, 5), [0] * 5, None, **storage)
    data = bytearray(path.read_bytes())
    for name in ("spikes/times", "spikes/units"):
        with h5py.File(path) as file:
            entry = file[name]
            where = entry.id.get_offset() if not storage else entry.id.get_chunk_info(0).byte_offset
        data[where + 16 : where + 20] = length.to_bytes(4, "little")
    path.write_bytes(data)
    said = message_of(lambda: list(read_spikes(path, 700, 20, speakers=False)))
    assert (
        "spikes, which do not fit into its " if length > 7 else "an array of 7 times 2 bytes is said to be object"
    ) in said


def test_read_spikes_refuses_filters_that_it_cannot_look_through(tmp_path: Path, message_of: Message) -> None:
    path = write(tmp_path / "x.h5", trains(0, 5), [0] * 5, None, chunks=(5,), compression="lzf")
    said = message_of(lambda: list(read_spikes(path, 700, 20, speakers=False)))
    assert "/spikes/times is packed by filters [32000] of HDF5; only gzip is read: write it without them" in said


def test_read_spikes_refuses_what_is_no_hdf5_or_cut_short(tmp_path: Path, message_of: Message) -> None:
    path = write(tmp_path / "x.h5", trains(0, 5), [0] * 5, None)
    data = path.read_bytes()
    for content, message in (
        (b"", "x.h5 has 0 bytes"),
        (b"\x1f\x8b gzip", "x.h5 cannot be read as HDF5 (OSError)"),
        (data[: len(data) // 2], "x.h5 cannot be read as HDF5 (OSError)"),
        (bytes(512) + data, "x.h5 begins with 512 bytes that are not HDF5"),
    ):
        path.write_bytes(content)
        assert message in message_of(lambda: list(read_spikes(path, 700, 20, speakers=False)))
    assert "is no file" in message_of(lambda: list(read_spikes(tmp_path, 700, 20, speakers=False)))


def test_shd_leaves_no_cache_of_a_broken_file_and_another_of_a_changed_one(tmp_path: Path, message_of: Message) -> None:
    write_shd(tmp_path)
    first = HeidelbergSpikes(tmp_path, SHD).fingerprint()
    shutil.copy(tmp_path / "shd_train.h5", tmp_path / "whole.h5")
    (tmp_path / "shd_train.h5").write_bytes((tmp_path / "whole.h5").read_bytes()[:3000])
    assert HeidelbergSpikes(tmp_path, SHD).fingerprint() != first
    message_of(prepare_dataset, HeidelbergSpikes(tmp_path, SHD), tmp_path / "cache", progress=False)
    assert not list((tmp_path / "cache").glob("shd*"))
