"""What `qsnn.predict` does: a run's net and recordings of any kind to classes, votes over time, and pictures."""

import csv
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from qsnn.config.building.run import build_machine
from qsnn.config.command_line import take_path
from qsnn.config.nets import SavedNet, load_net
from qsnn.config.paths import folder_name
from qsnn.config.search_path import note_search_path
from qsnn.data.events.batches import Batch, test_batches
from qsnn.data.events.prepare import prepare_dataset
from qsnn.data.formats.aedat2 import AEDAT2Options
from qsnn.data.formats.arrays import ARRAY_SUFFIXES, read_array
from qsnn.data.sources.loose_files import LooseFiles, find_recordings
from qsnn.data.words import MAPS
from qsnn.errors import ConfigError, DataError
from qsnn.reporting.pictures import png
from qsnn.reporting.vote_picture import vote_picture
from qsnn.training.checkpoint import write_atomically
from qsnn.training.class_scores import predictions, tied

FORMATS = ("table", "csv", "json")


class Request(NamedTuple):
    """``paths``: files and folders; ``format``: of the answer; ``out``: the file that it goes to, None for the console;
    ``pictures``: the folder for a picture of each recording, None for no pictures; ``overrides``: device and kernels."""

    run: Path
    paths: list[Path]
    format: str
    out: Path | None
    pictures: Path | None
    overrides: list[str]


class Prediction(NamedTuple):
    """``votes``: for each class, after the last step; ``tie``: whether another class has as many; ``course``: the votes
    after each step, where these are asked for."""

    file: str
    label: str
    votes: dict[str, float]
    tie: bool
    course: list[list[float]]


def parse_request(arguments: list[str]) -> Request:
    """The words of the command line. Raises ConfigError."""
    found: dict[str, Path | None] = {}
    rest = note_search_path(arguments)
    for name in ("run", "format", "out", "pictures"):
        found[name], rest = take_path(rest, name)
    if found["run"] is None:
        raise ConfigError("run= names no folder: give a run's, such as run=outputs/<experiment>/<time>")
    form = str(found["format"] or "table")
    if form not in FORMATS:
        raise ConfigError(f"format={form} is not possible: allowed are {', '.join(FORMATS)}")
    overrides = [text for text in rest if text.startswith(("device=", "kernels=", "threads="))]
    paths = [Path(text).expanduser() for text in rest if text not in overrides]
    strange = next((path for path in paths if "=" in str(path) and not path.exists()), None)
    if strange is not None:
        raise ConfigError(
            f"{strange} is no file and no key of predict: run, format, out, pictures, device, kernels, threads"
        )
    if not paths:
        raise ConfigError("no recording is named: give files or folders, such as recording.aedat")
    out = found["out"]
    if out is not None and (out.exists() or not out.parent.is_dir()):
        wrong = "is there already: choose another file" if out.exists() else "lies in no folder that is there"
        raise ConfigError(f"out={out} {wrong}")
    return Request(found["run"], paths, form, out, found["pictures"], overrides)


def predict(arguments: list[str]) -> str:
    """The answer as text; pictures and, with ``out=``, the answer are written. Raises QsnnError and OSError."""
    request = parse_request(arguments)
    saved = load_net(request.run, request.overrides)
    if not saved.classes:
        raise ConfigError(f"run={request.run}: its net answers with a raster, not with a class; look at its raster.png")
    answers = []
    for name, batch in _batches(saved, request.paths):
        answers.append(_answer(saved, name, batch, request))
    text = _as_text(answers, request.format)
    if request.out is None:
        return text
    write_atomically(request.out, lambda file: file.write(f"{text}\n".encode()))
    return f"{len(answers)} recordings; wrote {request.out}"


def _batches(saved: SavedNet, paths: list[Path]) -> Iterator[tuple[str, Batch]]:
    """Each recording as a batch of its own, from its start, as long as the run's test windows."""
    arrays = [path for path in paths if path.suffix.lower() in ARRAY_SUFFIXES]
    for path in arrays:
        yield str(path), _array_batch(saved, path)
    others = [path for path in paths if path not in arrays]
    if not others:
        return
    data, (height, width) = saved.config.dataset, saved.sensor
    if MAPS not in data.gives:
        wanted = f"a raster of 0 and 1, [steps, {width}], in a .npy or .npz"
        raise ConfigError(f"{others[0]}: the net of {saved.file} takes {width} channels, no pixels: give {wanted}")
    chosen = {name: getattr(data, name) for name in AEDAT2Options._fields if hasattr(data, name)}
    source = LooseFiles(
        find_recordings(others),
        saved.classes,
        (height, width),
        AEDAT2Options(**chosen),
        getattr(data, "sensor", None) is not None,
    )
    with tempfile.TemporaryDirectory(prefix="qsnn-predict-") as folder:
        dataset = prepare_dataset(source, Path(folder), progress=False)
        windows = data.windows(saved.config.neuron.dt, training=False)
        batches = test_batches(dataset, np.arange(len(source)), windows, 1)
        yield from zip(dataset.names.tolist(), batches, strict=True)


def _array_batch(saved: SavedNet, path: Path) -> Batch:
    """A raster of steps and inputs, (T, N) of 0 and 1."""
    size = int(np.prod(saved.inputs))

    def check(shape: tuple[int, ...]) -> None:
        if len(shape) != 2 or shape[1] != size:
            raise DataError(f"{path} holds an array of shape {list(shape)}; the net takes [steps, {size}]")

    spikes = torch.from_numpy(read_array(path, "spikes", check).astype(np.uint8))
    nothing = torch.zeros(1, dtype=torch.int64)
    return Batch(spikes.view(len(spikes), 1, *saved.inputs), nothing, nothing)


def _answer(saved: SavedNet, name: str, batch: Batch, request: Request) -> Prediction:
    learner = saved.config.trainer.build_learner(saved.config, build_machine(saved.config))
    tallies = learner.evaluate(saved.net, batch, keep_raster=request.pictures is not None or request.format == "json")
    last = [tally for tally in tallies.values() if tally.votes is not None][-1]
    votes: Tensor = last.votes
    label = saved.classes[int(predictions(votes)[0])]
    pictures = request.pictures
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        rasters = {layer: torch.stack(tally.raster) for layer, tally in tallies.items() if tally.raster}
        image = vote_picture(
            f"{Path(name).name}: {label}", batch.input[:, 0].flatten(1), rasters, last.course, saved.classes
        )
        write_atomically(pictures / f"{folder_name(name)}.png", lambda file: file.write(png(image)))
    shown = dict(zip(saved.classes, (round(float(vote), 6) for vote in votes[0]), strict=True))
    course = [[round(float(vote), 6) for vote in step] for step in last.course or []]
    return Prediction(name, label, shown, tied(votes) > 0, course)


def _as_text(answers: list[Prediction], form: str) -> str:
    if form == "json":
        return json.dumps([_as_record(answer) for answer in answers], indent=2)
    if form == "csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["file", "class", "tie", *answers[0].votes])
        writer.writerows([answer.file, answer.label, answer.tie, *answer.votes.values()] for answer in answers)
        return text.getvalue().rstrip("\n")
    width = max(len(answer.label) for answer in answers)
    return "\n".join(f"{answer.label:<{width}}  {_votes(answer)}  {answer.file}" for answer in answers)


def _as_record(answer: Prediction) -> dict[str, Any]:
    """For JSON; ``votes_over_time``: by class, one number a step."""
    course = dict(zip(answer.votes, map(list, zip(*answer.course, strict=True)), strict=True))
    named = {"file": answer.file, "class": answer.label, "tie": answer.tie}
    return {**named, "votes": answer.votes, "votes_over_time": course}


def _votes(answer: Prediction) -> str:
    """The three classes with most votes."""
    first: list[tuple[str, Any]] = sorted(answer.votes.items(), key=lambda entry: -entry[1])[:3]
    return ", ".join(f"{name}: {vote:g}" for name, vote in first) + (" (tie)" if answer.tie else "")
