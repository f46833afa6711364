"""Everything that a run must remember to go on as if it had never stopped."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from qsnn.dynamics import Slots, UpdateRule
from qsnn.quantization import RandomStream, random_stream
from qsnn.training.checkpoint_layout import Count, Maybe, Numbers, stream_layout
from qsnn.training.code_changes import Weights, none_changed, weight_codes


class Net(Protocol):
    """What a run needs of a net, beside what its way to learn does. All by layer, input first."""

    def trained_tensors(self) -> dict[str, Tensor]:
        """What learning changes, by ``<layer>.<part>``, such as ``hidden.weight``."""

    def stored_weights(self) -> Weights:
        """Weights and their width, by layer."""

    def state_dict(self) -> dict[str, Any]:
        """As torch has it."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """As torch has it."""


class Best(NamedTuple):
    """The best score so far (what that is, the task says), and the weights that reached it: those after ``epoch`` epochs
    (0: the initial ones)."""

    epoch: int
    score: float
    weights: dict[str, Tensor]


@dataclass
class TrainingState:
    """A net in training.

    ``epoch`` counts finished epochs, ``batch`` finished batches of the epoch under way, ``step`` updates of each weight.
    ``slots`` belong to the update rule, ``streams`` round gradients (``hidden.weight``) or drop readouts (``layer1/dropout``).
    ``sums``: what the epoch under way has measured, added up by key. ``largest_codes``: the largest integer of a rounded
    gradient in the run so far; ``initial_codes`` and ``changed``: `qsnn.training.code_changes`; all three by layer.
    """

    model: Any
    rule: UpdateRule
    slots: dict[str, Slots]
    streams: dict[str, RandomStream]
    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: Best | None = None
    seconds: float = 0.0
    seconds_start: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    largest_codes: dict[str, int] = field(default_factory=dict)
    initial_codes: dict[str, Tensor] = field(default_factory=dict)
    changed: dict[str, Tensor] = field(default_factory=dict)

    def forget_course(self) -> None:
        """Take the weights as they are for initial ones."""
        self.initial_codes = weight_codes(self.model.stored_weights())
        self.changed = none_changed(self.initial_codes)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only, so that a checkpoint loads with ``weights_only=True``."""
        plain = {name: value for name, value in vars(self).items() if name not in ("model", "rule")}
        return {
            **plain,
            "model": self.model.state_dict(),
            "slots": {name: list(slots) for name, slots in self.slots.items()},
            "streams": {name: list(stream) for name, stream in self.streams.items()},
            "best": None if self.best is None else self.best._asdict(),
        }

    def layout(self, batches_per_epoch: int, sums: frozenset[str]) -> dict[str, Any]:
        """What a `state_dict` of this net looks like (`qsnn.training.checkpoint_layout`). ``sums``: names that an epoch
        under way adds up."""
        saved = self.state_dict()
        return {
            **saved,
            "streams": stream_layout(self.streams),
            "epoch": Count(),
            "batch": Count(batches_per_epoch - 1),
            "step": Count(),
            "best": Maybe({"epoch": Count(), "score": 0.0, "weights": saved["model"]}),
            "seconds": 0.0,
            "seconds_start": 0.0,
            "sums": Numbers(sums),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take over what `state_dict` gave and `layout` fits."""
        self.model.load_state_dict(saved["model"])
        device = next(iter(self.model.trained_tensors().values())).device
        self.slots = {name: tuple(slot.to(device) for slot in slots) for name, slots in saved["slots"].items()}
        self.streams = {name: RandomStream(*stream) for name, stream in saved["streams"].items()}
        self.best = None if saved["best"] is None else Best(**saved["best"])
        for name in ("initial_codes", "changed"):
            setattr(self, name, {layer: tensor.to(device) for layer, tensor in saved[name].items()})
        for name in ("epoch", "batch", "step", "seconds", "seconds_start", "sums", "largest_codes"):
            setattr(self, name, saved[name])


def new_training_state(model: Net, rule: UpdateRule, seed: int, more_streams: Iterable[str] = ()) -> TrainingState:
    """The state before the first batch. The gradient of each trained tensor, such as ``hidden.weight``, is rounded by a stream
    of its own, ``hidden.weight/gradient``; ``more_streams``: names of what else is drawn."""
    tensors = {name: tensor.detach() for name, tensor in model.trained_tensors().items()}
    streams = {name: random_stream(seed, f"{name}/gradient") for name in tensors}
    streams |= {name: random_stream(seed, name) for name in more_streams}
    rows = {name: tensor.reshape(len(tensor), -1) for name, tensor in tensors.items()}
    slots = {name: tuple(torch.zeros_like(values) for _ in range(rule.num_slots)) for name, values in rows.items()}
    weights = model.stored_weights()
    codes = weight_codes(weights)
    return TrainingState(
        model, rule, slots, streams,
        largest_codes=dict.fromkeys(weights, 0), initial_codes=codes, changed=none_changed(codes),
    )  # fmt: skip
