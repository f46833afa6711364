"""Artefacts: whole or not there, read only if unchanged, and whatever else they may say is refused by name."""

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_models import reseal, rewrite, small_local_model, small_model

from qsnn.deploy import IntegerEngine
from qsnn.deploy.artefact import files_of, read_artefact, write_artefact
from qsnn.deploy.folder import MODEL, SUMS
from qsnn.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artefacts") / "artefact"
    write_artefact(small_model(("a", "b")), folder)
    return folder


@pytest.fixture
def artefact(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "artefact"))


def same(one: Any, other: Any) -> bool:
    return files_of(one) == files_of(other)


def test_artefact_gives_the_model_that_it_was_made_of(tmp_path: Path) -> None:
    for number, model in enumerate((small_model(), small_model(("a", "b")), small_local_model())):
        write_artefact(model, tmp_path / str(number))
        assert same(read_artefact(tmp_path / str(number)), model)


def test_artefact_packs_weights_at_their_width(written: Path) -> None:
    assert (written / "hidden.weight.bin").stat().st_size == 6  # 12 codes of 4 bits
    content = json.loads((written / MODEL).read_text())
    layer = content["layers"][0]
    assert layer["weight"] == {"file": "hidden.weight.bin", "shape": [3, 4], "bits": 4, "point": 3}
    assert layer["synapse"] == {"bits": 8, "point": 7, "multiplier": 3, "shift": 2}
    assert layer["threshold"] == {"spike": 65, "mask": -63}
    assert layer["accumulators"]["current"] == {"bits": 5, "format_bits": 6, "point": 3}
    assert content["decision"] == {"rule": "count", "burn_in": 0, "classes": ["a", "b"]}


def test_artefact_is_not_written_over_unless_told(artefact: Path) -> None:
    with pytest.raises(
        ConfigError, match=rf"out={artefact} is there already: choose another folder, or overwrite=true"
    ):
        write_artefact(small_model(), artefact)
    write_artefact(small_model(), artefact, overwrite=True)
    assert read_artefact(artefact).decision.rule == "raster"
    assert [path.name for path in artefact.parent.iterdir()] == ["artefact"]


def test_a_folder_of_something_else_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("words")
    with pytest.raises(ConfigError, match="holds no export: it is not written over"):
        write_artefact(small_model(), tmp_path / "thesis", overwrite=True)
    with pytest.raises(ConfigError, match="lies in no folder that is there"):
        write_artefact(small_model(), tmp_path / "nowhere" / "artefact")


def test_artefact_that_cannot_be_finished_is_not_there(tmp_path: Path) -> None:
    model = small_model()
    bad = model.layers[0]._replace(weight=model.layers[0].weight._replace(bits=3))  # its codes need four
    with pytest.raises(ValueError, match="do not fit 3 bits"):
        write_artefact(model._replace(layers=(bad, *model.layers[1:])), tmp_path / "artefact")
    assert not list(tmp_path.iterdir())


def test_artefact_that_cannot_be_replaced_is_put_back(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, rename = files_of(read_artefact(artefact)), os.rename

    def stop_at_the_second(source: Path, target: Path) -> None:
        if str(source).endswith(".tmp"):
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "rename", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        write_artefact(small_model(), artefact, overwrite=True)
    assert files_of(read_artefact(artefact)) == before
    assert [path.name for path in artefact.parent.iterdir()] == ["artefact"]


@pytest.mark.parametrize("name", [MODEL, SUMS, "hidden.weight.bin"])
def test_every_changed_byte_is_refused_by_its_file(artefact: Path, name: str) -> None:
    content = (artefact / name).read_bytes()
    for place in range(0, len(content), max(1, len(content) // 40)):
        (artefact / name).write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(DataError, match=rf"{artefact}/[\w.]+"):
            read_artefact(artefact)
    (artefact / name).write_bytes(content)
    read_artefact(artefact)


@pytest.mark.parametrize("name", [MODEL, SUMS, "output.weight.bin"])
def test_a_missing_file_is_named(artefact: Path, name: str) -> None:
    (artefact / name).unlink()
    with pytest.raises(DataError, match=rf"{artefact}/{name} cannot be read"):
        read_artefact(artefact)
    with pytest.raises(DataError, match=f"{artefact}/none is not there, or no folder"):
        read_artefact(artefact / "none")


def test_a_file_too_many_and_a_link_are_refused(artefact: Path) -> None:
    (artefact / "more.bin").write_bytes(b"x")
    reseal(artefact)
    with pytest.raises(DataError, match=r"names 'more.bin', which the model does not have"):
        read_artefact(artefact)
    (artefact / "more.bin").unlink()
    outside = artefact.parent / "outside.bin"
    (artefact / "hidden.weight.bin").rename(outside)
    (artefact / "hidden.weight.bin").symlink_to(outside)
    reseal(artefact)
    with pytest.raises(DataError, match=r"hidden.weight.bin is no regular file"):
        read_artefact(artefact)


Change = Callable[[dict[str, Any]], None]


def put(path: str, value: Any) -> Change:
    """Set a value of model.json at a path such as layers.0.weight.bits."""

    def change(content: Any) -> None:
        *way, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
        for part in way:
            content = content[part]
        content[last] = value

    return change


IMPOSSIBLE = {
    "version": (2, "is of version 2, this qsnn reads 1: export the run again"),
    "format": ("onnx", "is no model of an artefact"),
    "surprise": (1, "has 'surprise', which this version does not know"),
    "layers": ([], "must be a list of 1 to 1000 objects"),
    "layers.0.weight.bits": (0, r"layers\[0\].weight.bits is 0, allowed are whole numbers from 1 to 32"),
    "layers.1.weight.bits": (65, r"layers\[1\].weight.bits is 65"),
    "layers.0.weight.shape": ([3, 2**30], r"weight.shape is \[3, 16777216|weight.shape is 1073741824"),
    "layers.0.weight.file": ("../../etc/passwd", r"weight.file is '../../etc/passwd', it must be hidden.weight.bin"),
    "layers.0.name": ("../hidden", "name is '../hidden': letters, digits and _ are allowed"),
    "layers.1.name": ("hidden", "weight.file is 'output.weight.bin', it must be hidden.weight.bin"),
    "layers.0.kind": ("transformer", "kind is 'transformer', allowed is one of dense, recurrent"),
    "layers.0.kind ": ("dense", "has 'kind '"),
    "layers.0.inputs": ([4], r"inputs is \[4\], what comes before gives \[3\]"),
    "layers.0.synapse.shift": (-1, "synapse.shift is -1, allowed are whole numbers from 0 to 40"),
    "layers.0.synapse.multiplier": (5, r"a decay is at most 2\^2 of 2\^2"),
    "layers.0.synapse.bits": (True, "synapse.bits is True"),
    "layers.0.membrane": (None, "membrane is None, it must be an object"),
    "layers.0.threshold": (None, "an integrator has a synapse and no threshold"),
    "layers.0.threshold.spike": (10**6, "threshold.spike is 1000000"),
    "layers.0.recurrent_weight": ({}, "belongs to recurrent layers, and to them alone"),
    "layers.0.stride": (2, "has neither maps nor stride"),
    "layers.0.rounding": ("up", "rounding is 'up', allowed is one of half_even"),
    "layers.0.accumulators": ({}, "accumulators of layer hidden are not those that its weights take"),
    "layers.0.weight.point": (-60, "current of layer|takes .* signed bits, the engine has 63"),
    "decision.rule": ("votes", "rule is votes, which the last layer, dense, has no answer to"),
    "decision.classes": (["a"], "classes has 1 names for 2 outputs"),
    "decision.burn_in": (2, "burn_in is 2, only the rule votes has one"),
    "input.signed": ("no", "input.signed is 'no', allowed are true and false"),
    "input.kind": ("events", "input.sensor must be a list of 2 numbers"),
}  # fmt: skip


@pytest.mark.parametrize("path", IMPOSSIBLE)
def test_impossible_models_are_refused_by_name(artefact: Path, path: str) -> None:
    value, found = IMPOSSIBLE[path]
    rewrite(artefact, put(path, value))
    with pytest.raises(DataError, match=found) as refused:
        read_artefact(artefact)
    assert str(artefact / MODEL) in str(refused.value)
    assert "\n" not in str(refused.value)


def places(content: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a JSON value, as a path."""
    parts = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for name, part in parts:
        yield (*way, name)
        yield from places(part, (*way, name))


def test_any_other_value_at_any_place_is_refused_or_makes_a_net_that_runs(artefact: Path) -> None:
    text, refused = (artefact / MODEL).read_text(), list[str]()
    rng = random.Random(0)
    for way in places(json.loads(text)):
        content = json.loads(text)
        part = content
        for name in way[:-1]:
            part = part[name]
        part[way[-1]] = rng.choice([0, -1, 1, 64, 2**31, 2**70, 1.5, float("nan"), None, True, "", [], {}, [1], "../x"])
        (artefact / MODEL).write_text(json.dumps(content))
        reseal(artefact)
        try:
            engine = IntegerEngine.from_artefact(artefact)
            engine.step(engine.initial_state(), np.ones((1, *engine.model.input.shape), np.int8))
        except DataError as error:
            refused.append(str(error))
    assert len(refused) > 60
    assert not any("\n" in line for line in refused)


def test_json_that_is_none_is_refused(artefact: Path) -> None:
    for text in ("{", "[" * 100_000, "3", '{"format": "qsnn artefact", "version": 1}'):
        (artefact / MODEL).write_text(text)
        reseal(artefact)
        with pytest.raises(DataError, match=MODEL):
            read_artefact(artefact)


def test_what_says_a_thing_twice_is_refused(artefact: Path) -> None:
    text = (artefact / MODEL).read_text()
    (artefact / MODEL).write_text(text.replace('"version": 1', '"version": 1, "version": 1'))
    reseal(artefact)
    with pytest.raises(DataError, match=r"model.json is not JSON: it has the key 'version' twice"):
        read_artefact(artefact)
    (artefact / MODEL).write_text(text.replace('"a", "b"', '"a", "a"'))
    reseal(artefact)
    with pytest.raises(DataError, match=r"decision.classes has the same name twice"):
        read_artefact(artefact)


def test_files_that_no_checksum_names_are_refused_and_their_order_is_free(artefact: Path) -> None:
    lines = (artefact / SUMS).read_text().splitlines(keepends=True)
    (artefact / SUMS).write_text("".join(reversed(lines)))
    read_artefact(artefact)
    (artefact / SUMS).write_text("".join([*lines, lines[0]]))
    with pytest.raises(DataError, match="not a list of checksums and names, each once"):
        read_artefact(artefact)
    (artefact / SUMS).write_text("".join(lines))
    (artefact / "more.bin").write_bytes(b"x")
    with pytest.raises(DataError, match=r"more.bin is no file of the artefact: SHA256SUMS does not name it"):
        read_artefact(artefact)


def test_impossible_local_layers_are_refused_by_name(tmp_path: Path) -> None:
    write_artefact(small_local_model(), tmp_path / "artefact")
    changes = {
        "layers.0.membrane.u2": (7, "membrane.u2 is 7, allowed are whole numbers from 8 to 40"),
        "layers.0.membrane.after": ([0] * 7, "membrane.after must be a list of 8 numbers"),
        "layers.0.traces.p_bits": (0, "traces.p_bits is 0"),
        "layers.0.traces.p1.shape": ([1, 2, 2], r"p1.shape is \[1, 2, 2\], the layer's sizes make it"),
        "layers.0.padding": (1, "a kernel of 2 x 2, stride 1, padding 1, pooling 1 does not make neurons"),
        "layers.0.readout.activation": ([0], "readout.activation must be a list of"),
        "layers.0.readout": (None, "the last layer has no readout"),
    }
    for number, (path, (value, found)) in enumerate(changes.items()):
        folder = Path(shutil.copytree(tmp_path / "artefact", tmp_path / str(number)))
        rewrite(folder, put(path, value))
        with pytest.raises(DataError, match=found):
            read_artefact(folder)
