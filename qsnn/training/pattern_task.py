"""A pattern to be retained as a task: one input, one target raster, and the distance that the output keeps from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from qsnn.data.sources.pattern import Pattern
from qsnn.kernels.numba.runtime.threads import single_threaded
from qsnn.models import Activity
from qsnn.models.spike_counts import SpikeCounts, arrivals, spike_counts
from qsnn.training.bptt import StepResult, evaluate, firing_rates, gradient_norms, score, silent_distance
from qsnn.training.gradient_codes import code_bits_figures
from qsnn.training.run import Detail, Ending, Epoch, Look, Run
from qsnn.training.state import Best, TrainingState


@dataclass
class PatternTask:
    """An epoch is the pattern once. The best weights are those of the smallest distance.

    An epoch measures before it updates, so that metrics.jsonl has the distance of the weights after epoch ``e`` in the line of
    ``e + 1``.
    """

    pattern: Pattern
    loss: Any
    batches_per_epoch: int = 1
    classes: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[int, ...]:
        """(N,)."""
        return (self.pattern.input.shape[2],)

    @property
    def num_steps(self) -> int:
        """T."""
        return self.pattern.input.shape[0]

    @property
    def num_outputs(self) -> int:
        """As many as the target has."""
        return self.pattern.target.shape[2]

    @cached_property
    def silent_distance(self) -> float:
        """The distance of a net that never spikes."""
        return silent_distance(self.pattern, self.loss)

    def batches(self, epoch: int, first: int) -> Iterator[Pattern]:
        """The pattern."""
        yield self.pattern

    def example_batch(self) -> Pattern:
        """The pattern."""
        return self.pattern

    def facts(self) -> dict[str, Any]:
        """The distance to beat."""
        return {"silent_distance": self.silent_distance}

    def shapes(self) -> dict[str, Any]:
        """Sizes of input and output; no classes."""
        return {"inputs": list(self.inputs), "num_outputs": self.num_outputs, "classes": [], "sensor": []}

    def names_of_sums(self, run: Run) -> frozenset[str]:
        """None: an epoch is one batch."""
        return frozenset()

    def before_update(self, state: TrainingState, loss: float) -> None:
        """Copy the weights if they are the best so far."""
        if state.best is not None and loss >= state.best.score:
            return
        weights = {name: tensor.detach() for name, tensor in state.model.state_dict().items()}
        with single_threaded(True):  # threads of torch would spin for milliseconds after so small a copy
            if state.best is None:
                kept = {name: tensor.clone() for name, tensor in weights.items()}
            else:
                kept = {name: state.best.weights[name].copy_(tensor) for name, tensor in weights.items()}
        state.best = Best(state.epoch, loss, kept)

    def add_up(self, state: TrainingState, batch: Pattern, lesson: StepResult) -> str:
        """Nothing: an epoch is one batch."""
        return ""

    def end_epoch(self, run: Run, lesson: StepResult, figures_wanted: bool) -> Epoch:
        """Distance, rates, gradient norms and the gradients' widths of the lesson."""

        def look() -> Look:
            return self._look(lesson.activity, "")

        if not figures_wanted:
            return Epoch(None, "", None, look)
        rates = firing_rates(lesson.activity)
        norms = gradient_norms(lesson.gradients)
        widths = code_bits_figures(run.state.largest_codes, lesson.rounding)
        shown = [f"{name.removeprefix('rate_')}={rate:.1%}" for name, rate in rates.items()]
        headline = ", ".join([f"distance={lesson.loss:.1f}", *shown])
        return Epoch({**score(lesson.loss, self.silent_distance), **rates, **norms, **widths}, headline, None, look)

    def _look(self, activity: Activity, title: str) -> Look:
        spikes = {name: layer.spikes for name, layer in activity.items()}
        return Look(title, {"input": self.pattern.input, **spikes}, self.pattern.target)

    def best_so_far(self, run: Run) -> Best | None:
        """The best weights, the present ones included: one more pass a checkpoint, that of the next epoch. Of equals the
        earlier ones. None before the first epoch."""
        state = run.state
        if state.best is None:
            return None
        now = state.model.gradients(self.pattern.input, self.pattern.target, self.loss).loss
        if not now < state.best.score:
            return state.best
        return Best(state.epoch, now, {name: tensor.detach() for name, tensor in state.model.state_dict().items()})

    def best_at_the_end(self, run: Run) -> Best | None:
        """The same."""
        return self.best_so_far(run)

    def conclude(
        self, run: Run, stopped: bool, best: Best | None
    ) -> tuple[dict[str, Any], dict[str, Any], Ending | None]:
        """Scores of the last and of the best weights."""
        final, ending = self.scores_now(run)
        if best is None:
            return final, {}, ending
        reached = {"epoch": best.epoch, **score(best.score, self.silent_distance)}
        return final, reached, ending._replace(scores={**ending.scores, "best/distance": best.score})

    def scores_now(self, run: Run) -> tuple[dict[str, Any], Ending]:
        """Distance, the same relative to a silent net, and rates of the weights as they are."""
        final, activity = evaluate(run.state.model, self.pattern, self.loss)
        share = final["relative_distance"]
        reached = f"epoch {run.state.epoch}, distance {final['distance']:.1f} ({share:.1%} of silence)"
        title = f"{reached}; time to the right, neurons downward"
        detail = Detail(
            {name: layer.spikes.double().mean((0, 1)) for name, layer in activity.items() if layer.spikes.numel()},
            counts=self._counts(run, activity),
        )
        return final, Ending({"final/distance": final["distance"]}, self._look(activity, title), detail=detail)

    def counts_of_example(self, run: Run) -> SpikeCounts | None:
        """Of the pattern, with the net as it is."""
        _, activity = evaluate(run.state.model, self.pattern, self.loss)
        return self._counts(run, activity)

    def _counts(self, run: Run, activity: Activity) -> SpikeCounts | None:
        net, (steps, samples) = run.state.model, self.pattern.input.shape[:2]
        arrived = {
            f"{name}.{way}": counts
            for name, ways in arrivals(self.pattern.input, activity, net).items()
            for way, counts in ways.items()
        }
        spikes = {name: int(layer.spikes.sum(dtype=torch.float64)) for name, layer in activity.items()}
        return spike_counts(net, self.inputs, (samples, steps), arrived, spikes)
