"""What `qsnn.predict` does: a run's net and recordings of any kind to classes, votes over time, and pictures."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qsnn.config.building.run import build_machine
from qsnn.config.nets import SavedNet, load_net
from qsnn.config.paths import folder_name
from qsnn.config.predicting.answers import Prediction, as_text, votes_over_time
from qsnn.config.predicting.recordings import batches_of
from qsnn.config.predicting.request import Request, parse_request
from qsnn.data.events.batches import Batch
from qsnn.errors import ConfigError
from qsnn.files import write_atomically
from qsnn.reporting.pictures import png
from qsnn.reporting.vote_picture import vote_picture
from qsnn.training.class_scores import LayerTally, predictions, tied


def predict(arguments: list[str]) -> str:
    """The answer as text; pictures, votes over time and, with ``out=``, the answer are written. Raises QsnnError and
    OSError."""
    request = parse_request(arguments)
    saved = load_net(request.run, request.overrides)
    if not saved.classes:
        raise ConfigError(f"run={request.run}: its net answers with a raster, not with a class; look at its raster.png")
    learner = saved.config.trainer.build_learner(saved.config, build_machine(saved.config))
    batches = batches_of(saved, request.paths, request.time_unit)
    answers = [_answer(saved, learner, name, batch, request) for name, batch in batches]
    text = as_text(answers, request.format)
    written = []
    for path, content in ((request.out, text), (request.votes, _over_time(saved, answers, request))):
        if path is not None:
            _write(path, f"{content}\n".encode())
            written.append(str(path))
    return text if request.out is None else f"{len(answers)} recordings; wrote {' and '.join(written)}"


def _over_time(saved: SavedNet, answers: list[Prediction], request: Request) -> str:
    return "" if request.votes is None else votes_over_time(answers, saved.config.neuron.dt)


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, lambda file: file.write(content))


def _answer(saved: SavedNet, learner: Any, name: str, batch: Batch, request: Request) -> Prediction:
    """What the net says of one recording; its picture is written."""
    over_time = request.over_time or request.pictures is not None
    tallies = learner.evaluate(saved.net, batch, keep_raster=over_time)
    last = [tally for tally in tallies.values() if tally.votes is not None][-1]
    votes: Tensor = last.votes
    label = saved.classes[int(predictions(votes)[0])]
    if request.pictures is not None:
        _draw(saved, f"{Path(name).name}: {label}", request.pictures / f"{folder_name(name)}.png", batch, tallies)
    shown = dict(zip(saved.classes, (round(float(vote), 6) for vote in votes[0]), strict=True))
    course = [[round(float(vote), 6) for vote in step] for step in last.course or []]
    return Prediction(name, label, shown, tied(votes) > 0, not batch.input.any(), course if request.over_time else [])


def _draw(saved: SavedNet, title: str, path: Path, batch: Batch, tallies: dict[str, LayerTally]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rasters = {layer: torch.stack(tally.raster) for layer, tally in tallies.items() if tally.raster}
    course = [tally for tally in tallies.values() if tally.votes is not None][-1].course or []
    _write(path, png(vote_picture(title, batch.input[:, 0].flatten(1), rasters, course, saved.classes)))
