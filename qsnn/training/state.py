"""Everything that a run must remember to go on as if it had never stopped."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from qsnn.dynamics import Slots, UpdateRule
from qsnn.models import FeedforwardNet
from qsnn.quantization import RandomStream, random_stream
from qsnn.training.checkpoint_layout import Count, Maybe, stream_layout
from qsnn.training.code_changes import none_changed, weight_codes


class Best(NamedTuple):
    """The best distance so far, and the weights that reached it: those after ``epoch`` epochs (0: the initial ones). An epoch
    measures before it updates, so that metrics.jsonl has this distance in the line of ``epoch + 1``."""

    epoch: int
    distance: float
    weights: dict[str, Tensor]


@dataclass
class TrainingState:
    """A net in training. ``epoch`` counts finished epochs; ``slots`` belong to the update rule, ``streams`` round the
    gradients, both by layer. ``largest_codes``: the largest integer of a rounded gradient in the run so far, by layer."""

    model: FeedforwardNet
    rule: UpdateRule
    slots: dict[str, Slots]
    streams: dict[str, RandomStream]
    epoch: int = 0
    best: Best | None = None
    seconds: float = 0.0
    seconds_start: float = 0.0
    initial_codes: dict[str, Tensor] = field(default_factory=dict)
    changed: dict[str, Tensor] = field(default_factory=dict)
    largest_codes: dict[str, int] = field(default_factory=dict)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only, so that a checkpoint loads with ``weights_only=True``."""
        best = None if self.best is None else {**self.best._asdict()}
        return {
            "model": self.model.state_dict(),
            "slots": {name: list(slots) for name, slots in self.slots.items()},
            "streams": {name: list(stream) for name, stream in self.streams.items()},
            "epoch": self.epoch,
            "best": best,
            "seconds": self.seconds,
            "seconds_start": self.seconds_start,
            "initial_codes": self.initial_codes,
            "changed": self.changed,
            "largest_codes": dict(self.largest_codes),
        }

    def layout(self) -> dict[str, Any]:
        """What a `state_dict` of this net looks like (`qsnn.training.checkpoint_layout`)."""
        saved = self.state_dict()
        best = Best(Count(), 0.0, saved["model"])._asdict()  # type: ignore[arg-type]
        streams, seconds = stream_layout(self.streams), {"seconds": 0.0, "seconds_start": 0.0}
        return {**saved, "streams": streams, "epoch": Count(), "best": Maybe(best), **seconds}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take over what `state_dict` gave and `layout` fits."""
        self.model.load_state_dict(saved["model"])
        device = next(self.model.parameters()).device
        self.slots = {name: tuple(slot.to(device) for slot in slots) for name, slots in saved["slots"].items()}
        self.streams = {name: RandomStream(*stream) for name, stream in saved["streams"].items()}
        self.epoch, self.largest_codes = saved["epoch"], saved["largest_codes"]
        self.seconds, self.seconds_start = saved["seconds"], saved["seconds_start"]
        self.best = None if saved["best"] is None else Best(**saved["best"])
        self.initial_codes, self.changed = (
            {name: tensor.to(device) for name, tensor in saved[key].items()} for key in ("initial_codes", "changed")
        )


def new_training_state(model: FeedforwardNet, rule: UpdateRule, seed: int) -> TrainingState:
    """The state before the first epoch; gradients of ``<layer>.weight`` are rounded by a stream of that name."""
    streams = {name: random_stream(seed, f"{name}.weight/gradient") for name in model.linears()}
    weights = {name: linear.weight.detach() for name, linear in model.linears().items()}
    slots = {name: tuple(torch.zeros_like(weight) for _ in range(rule.num_slots)) for name, weight in weights.items()}
    codes = weight_codes(model.stored_weights())
    return TrainingState(
        model, rule, slots, streams,
        initial_codes=codes, changed=none_changed(codes), largest_codes=dict.fromkeys(weights, 0),
    )  # fmt: skip
