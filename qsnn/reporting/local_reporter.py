"""What a run of local learning tells: accuracy, loss, spikes and updates by layer, rasters, histograms, confusion matrix."""

from pathlib import Path
from typing import Any

import torch

from qsnn.quantization import symmetric
from qsnn.reporting.identity import RunIdentity
from qsnn.reporting.kinds import Shown, facts_of, reporter_of, scores_of, table_of
from qsnn.reporting.local_health import Observation, observe_run
from qsnn.reporting.pictures import Picture, confusion_picture, png, raster, sheet
from qsnn.reporting.reporter import LoggingSettings, Reporter
from qsnn.reporting.summary import local_memory, local_table
from qsnn.training.checkpoint import write_atomically
from qsnn.training.local_run import LocalRun
from qsnn.training.local_scores import Scores
from qsnn.training.loop import Outcome


class LocalReporter(Reporter):
    """Context manager around the batches of a run of local learning."""

    def after_batch(self, sums: dict[str, float]) -> None:
        """Move the bar."""
        last = list(sums)[-1].split("/")[0]
        share, loss = (
            sums[f"{last}/correct"] / sums[f"{last}/samples"],
            sums[f"{last}/loss"] / max(1, sums[f"{last}/steps"]),
        )
        self._move_bar()
        self._bar.set_postfix_str(f"online={share:.1%}, loss={loss:.3f}{self._validated}", refresh=False)

    _validated = ""

    def after_epoch(self, run: LocalRun, record: dict[str, float], validation: Scores | None) -> None:
        """Write what is due in the epoch that has just ended."""
        epoch, settings = run.state.epoch, self._settings
        if validation is not None:
            self._validated = f", validation={validation.accuracy():.1%}"
        observed = self._observe(run, epoch)
        health = observed.health if observed is not None and self.wants_health(epoch) else {}
        if self._due(settings.metrics_every, epoch) or validation is not None or health:
            tags = {key.replace("_layer", "/layer"): value for key, value in record.items()}
            self._write(epoch, {**record, **health}, tags | {f"health/{key}": v for key, v in health.items()})
        self._warn(health, epoch)
        if validation is not None and self._board:
            self._board.picture("confusion/validation", self._confusion(run, validation), epoch)
        if self._board and observed is not None and self._due(settings.histogram_every, epoch):
            for name, (weight, bits) in run.state.model.stored_weights().items():
                self._board.histogram(f"weight/{name}", weight.detach(), symmetric(bits), epoch)
            for tag, (raw, fmt) in observed.histograms.items():
                self._board.histogram(tag, raw, fmt, epoch)
        if self._board and self._due(settings.raster_every, epoch):
            for name, picture in self._rasters(run).items():
                self._board.picture(f"raster/{name}", picture, epoch)

    def _observe(self, run: LocalRun, epoch: int) -> Observation | None:
        """A look at the net, if health or histograms are due."""
        histograms = self._board is not None and self._due(self._settings.histogram_every, epoch)
        return observe_run(run) if self.wants_health(epoch) or histograms else None

    def finish(self, run: LocalRun, final: Scores, best: Scores | None) -> None:
        """raster.png and confusion.png (of the best weights, or the last if none are best); in TensorBoard the scores for the
        HParams table and the last pictures."""
        epoch, rasters, confusion = run.state.epoch, self._rasters(run), self._confusion(run, best or final)
        title = f"epoch {epoch}, first test recording; time to the right, pooled neurons downward"
        for name, picture in (("raster.png", sheet(list(rasters.items()), title)), ("confusion.png", confusion)):
            data = png(picture)
            write_atomically(run.folder / name, lambda file, data=data: file.write(data))
        if self._board:
            scores = {"final/test_accuracy": final.accuracy()}
            if best is not None:
                scores["best/test_accuracy"] = best.accuracy()
            self._board.scalars(scores, epoch)
            self._board.picture("confusion/test", confusion, epoch)
            for name, picture in rasters.items():
                self._board.picture(f"raster/{name}", picture, epoch)

    def _confusion(self, run: LocalRun, scores: Scores) -> Picture:
        return confusion_picture(scores.last_confusion().numpy(), run.dataset.classes)

    def _rasters(self, run: LocalRun) -> dict[str, Picture]:
        """Events of the first test recording, and the spikes that each layer hands on."""
        batch, tallies = run.example()
        events: Any = batch.input[:, :1].flatten(2)
        pictures = {"input": raster((events != 0).to(torch.float32))}
        for name, tally in tallies.items():
            pictures[name] = raster(torch.stack(tally.raster or [])[:, None])
        return pictures


@reporter_of.register
def _reporter(run: LocalRun, settings: LoggingSettings, shown: Shown) -> LocalReporter:
    pieces = run.batches_per_epoch()
    position, batches = run.state.epoch * pieces + run.state.batch, run.settings.epochs * pieces
    return LocalReporter(RunIdentity(run.folder, run.state.epoch, position, batches, "batch", *shown), settings)


def _recordings(run: LocalRun) -> dict[str, int]:
    """How many there are of each kind."""
    return {name: len(part) for name, part in run.split._asdict().items()}


@facts_of.register
def _facts(run: LocalRun) -> dict[str, Any]:
    memory = local_memory(run.state.model)
    return {"recordings": _recordings(run), "memory_bytes": memory, "kernels": run.settings.backend.name}


@table_of.register
def _table(run: LocalRun, outcome: Outcome, code_bits: dict[str, int]) -> str:
    return local_table(outcome, run.state.epoch, local_memory(run.state.model), _recordings(run), code_bits)


@scores_of.register
def _scores(run: LocalRun, best: dict[str, Any] | None, folder: Path) -> dict[str, Any]:
    final = _scores_now(run)
    if best is None or not len(run.split.validation):
        return {"final": final}
    run.state.model.load_state_dict(best["model"])
    run.validated.clear()
    return {"final": final, "best": {"epoch": best["epoch"], **_scores_now(run)}}


def _scores_now(run: LocalRun) -> dict[str, Any]:
    """Accuracies, rates and confusion matrix of the weights as they are, as summary.json has them."""
    validation = run.validate()
    known = {} if validation is None else {"validation_accuracy": validation.accuracy()}
    return {**known, **run.evaluate(run.split.test).summary("test")}
