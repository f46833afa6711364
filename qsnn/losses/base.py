"""What the options of losses for backpropagation through time share."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from qsnn.dynamics.integrator import IntegratorParameters
from qsnn.kernels.backend import Backend
from qsnn.options import Option, impossible

IN_INTEGERS = "quantization.arithmetic=integer"
OUTPUT_ERRORS = "errors at the net's output"


@dataclass
class OutputLoss(Option):
    """A loss of the net's output; says in ``needs`` what a data set must give."""

    gives: ClassVar[frozenset[str]] = frozenset({OUTPUT_ERRORS})
    lacks: ClassVar[tuple[str, ...]] = ("integrator_bits",)

    def problems_at(self, dt: float) -> Iterator[str]:
        """What is wrong with it at steps of ``dt`` s: nothing."""
        yield from ()

    def integrator(self, dt: float, integrator_bits: int | None, error_bits: int | None) -> IntegratorParameters | None:
        """The neurons of the output layer, if it is to be a membrane readout; None: it spikes."""
        return None

    def float_quantities(self, config: Any) -> Iterator[str]:
        """That its gradient is none of integers, unless an option says otherwise."""
        allowed = (
            f"its gradient is a float, which {IN_INTEGERS} has no place for: use loss=spike_count, loss=van_rossum or "
            "loss=cross_entropy loss.logits=count"
        )
        yield impossible("loss", self.option, allowed)

    def build_integer(self, dt: float, backend: Backend) -> Any:
        """The loss with a gradient of integers; of an option that has one."""
        return self.build(dt, backend, quantized=True)

    def build(self, dt: float, backend: Backend, quantized: bool) -> Any:
        """A `qsnn.models.spiking_net.Loss` at steps of ``dt`` s; ``quantized``: whether errors are."""
        raise NotImplementedError
