"""What a pattern run tells while it trains: distance, rates, gradient norms, health, rasters, histograms of codes."""

from pathlib import Path
from typing import Any

from qsnn.data.sources.pattern import Pattern
from qsnn.models import Activity
from qsnn.quantization import symmetric
from qsnn.reporting.health import measure_health
from qsnn.reporting.identity import RunIdentity
from qsnn.reporting.kinds import Shown, facts_of, reporter_of, scores_of, table_of
from qsnn.reporting.pictures import rasters, write_raster
from qsnn.reporting.reporter import LoggingSettings, Reporter
from qsnn.reporting.summary import pattern_memory, pattern_table
from qsnn.training.bptt import GradientRounding, StepResult, evaluate, firing_rates, score
from qsnn.training.gradient_codes import gradient_code_bits
from qsnn.training.loop import Outcome
from qsnn.training.pattern_run import PatternRun
from qsnn.training.state import TrainingState


class PatternReporter(Reporter):
    """Context manager around the epochs of a pattern run."""

    def __init__(self, run: RunIdentity, settings: LoggingSettings, silent_distance: float) -> None:
        super().__init__(run, settings)
        self._silent_distance = silent_distance

    def after_epoch(self, state: TrainingState, step: StepResult, pattern: Pattern, rounding: GradientRounding) -> None:
        """Write what is due in the epoch that ``step`` finished."""
        epoch, settings = state.epoch, self._settings
        self._move_bar()
        if self._due(settings.metrics_every, epoch) or self.wants_health(epoch):
            self._write_metrics(state, step, rounding)
        if self._due(settings.raster_every, epoch):
            self._rasters(step.activity, pattern, epoch)
        if self._due(settings.histogram_every, epoch):
            self._histograms(state, step.activity, epoch)

    def _write_metrics(self, state: TrainingState, step: StepResult, rounding: GradientRounding) -> None:
        quality = score(step.distance, self._silent_distance)
        rates = firing_rates(step.activity)
        norms = {f"gradient_norm_{name}": g.norm().item() for name, g in step.gradients.items()}
        widths = {f"gradient_code_bits_{k}": v for k, v in gradient_code_bits(state.largest_codes, rounding).items()}
        health = measure_health(state, step, rounding) if self.wants_health(state.epoch) else {}
        shown = [f"{key.removeprefix('rate_')}={rate:.1%}" for key, rate in rates.items()]
        self._bar.set_postfix_str(", ".join([f"distance={step.distance:.1f}", *shown]), refresh=False)
        tags = {f"loss/{key}": value for key, value in quality.items()}
        tags |= {key.replace("_", "/", 1): value for key, value in rates.items()}
        tags |= {key.replace("gradient_norm_", "gradient_norm/"): value for key, value in norms.items()}
        tags |= {key.replace("bits_", "bits/"): value for key, value in widths.items()}
        tags |= {f"health/{key}": value for key, value in health.items()}
        self._write(state.epoch, {**quality, **rates, **norms, **widths, **health}, tags)
        self._warn(health, state.epoch)

    def _rasters(self, activity: Activity, pattern: Pattern, epoch: int) -> None:
        """Pictures of input, hidden, output, target, and output against target in colour."""
        if self._board:
            for name, picture in rasters(activity, pattern.input, pattern.target).items():
                self._board.picture(f"raster/{name}", picture, epoch)

    def _histograms(self, state: TrainingState, activity: Activity, epoch: int) -> None:
        """Codes of weights and membranes (values, in full precision)."""
        for name, layer in state.model.layers.items():
            if self._board:
                weight, membrane = layer.linear.weight.detach(), activity[name].membrane.detach()
                self._board.histogram(f"weight/{name}", weight, symmetric(layer.linear.weight_bits), epoch)
                self._board.histogram(f"membrane/{name}", membrane, symmetric(layer.lif.dynamics.membrane_bits), epoch)

    def finish(self, scores: dict[str, float], activity: Activity, pattern: Pattern, epoch: int) -> None:
        """raster.png, and what TensorBoard shows of the trained net: its scores, for the HParams table, and its rasters."""
        distance = scores["final/distance"]
        relative = score(distance, self._silent_distance)["relative_distance"]
        title = f"epoch {epoch}, distance {distance:.1f} ({relative:.1%} of silence)"
        if self._board:
            self._board.scalars(scores, epoch)
            if self._settings.raster_every:
                self._rasters(activity, pattern, epoch)
        write_raster(self._folder / "raster.png", activity, pattern.target, title)


@reporter_of.register
def _reporter(run: PatternRun, settings: LoggingSettings, shown: Shown) -> PatternReporter:
    epoch, silent = run.state.epoch, run.loss.of_silence(run.pattern.target)
    return PatternReporter(
        RunIdentity(run.folder, epoch, epoch, run.settings.epochs, "epoch", *shown), settings, silent
    )


@facts_of.register
def _facts(run: PatternRun) -> dict[str, Any]:
    silent, memory = run.loss.of_silence(run.pattern.target), pattern_memory(run.state.model)
    return {"silent_distance": silent, "memory_bytes": memory, "kernels": run.loss.backend.name}


@table_of.register
def _table(run: PatternRun, outcome: Outcome, code_bits: dict[str, int]) -> str:
    silent, memory = run.loss.of_silence(run.pattern.target), pattern_memory(run.state.model)
    return pattern_table(outcome, run.state.epoch, memory, silent, code_bits)


@scores_of.register
def _scores(run: PatternRun, best: dict[str, Any] | None, folder: Path) -> dict[str, Any]:
    final, activity = evaluate(run.state.model, run.pattern, run.loss)
    title = f"epoch {run.state.epoch}, distance {final['distance']:.1f} ({final['relative_distance']:.1%} of silence)"
    write_raster(folder / "raster.png", activity, run.pattern.target, title)
    if best is None:
        return {"final": final}
    run.state.model.load_state_dict(best["model"])
    return {"final": final, "best": {"epoch": best["epoch"], **evaluate(run.state.model, run.pattern, run.loss)[0]}}
