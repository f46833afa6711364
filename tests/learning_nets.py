"""Small nets of every kind that learn in integers, for the tests of machines that repeat them."""

from qsnn.deploy.model import Source
from qsnn.dynamics import SGD
from qsnn.dynamics.cuba_lif import CubaLIF
from qsnn.dynamics.integrate_and_fire import IF
from qsnn.dynamics.lif import LIF
from qsnn.dynamics.trace_lif import TraceLIF
from qsnn.kernels.dispatch import select_backend, select_integer_local_backend, select_local_backend
from qsnn.models.conv import Conv
from qsnn.models.feedforward import Feedforward
from qsnn.models.geometry import Geometry
from qsnn.models.local_net import LocalInit, build_local_net
from qsnn.models.recurrent import Recurrent
from qsnn.quantization.bit_widths import BitWidths
from qsnn.training.local_learning import LocalLearner, dropout_streams
from qsnn.training.state import TrainingState, new_training_state

STEPS, BATCH, CLASSES, MAPS, UPDATES = 10, 3, 4, (2, 6, 5), 3
EAGER = select_backend("eager", "cpu")
SOURCE = Source("small", "last", 0, "0")
NAMES = tuple(map(str, range(CLASSES)))
MODELS = {
    "dense": Feedforward(hidden=[9, 8]), "recurrent": Recurrent(hidden=[8]),
    "pooled": Conv(channels=[4, 3], kernel_size=[3, 2], padding=[1, 0], pooling=[2, 1], stride=[1]),
    "strided": Conv(channels=[3], kernel_size=[3], padding=[2], pooling=[1], stride=[2]),
}  # fmt: skip
NEURONS = (
    CubaLIF(threshold=0.6, surrogate_slope=5.0), CubaLIF(threshold=0.9, surrogate_slope=5.0, state_range=4.0),
    CubaLIF(threshold=0.6, surrogate_slope=100.0, decay="exponential", decay_bits=6, threshold_mask=True),
    LIF(threshold=0.7, threshold_mask=True), IF(threshold=0.8),
)  # fmt: skip


def local_state(bits: BitWidths, l2: float, dropout: float) -> tuple[TrainingState, LocalLearner]:
    neuron = TraceLIF(tau_syn_upper=0.02, decay_bits=14, trace_cap=0.5)
    geometries, init = (
        [Geometry(4, 3, 1, 2), Geometry(3, 3, 1, 1)],
        LocalInit([2e-3, 1e-3], None, 1.5, 1.0, 4.0, 0.001, l2),
    )
    kernels = select_local_backend("eager"), select_integer_local_backend("eager")
    net = build_local_net(MAPS, geometries, CLASSES, neuron, [bits, bits], init, 0, *kernels)
    return new_training_state(net, SGD(1.0), 0, dropout_streams(net)), LocalLearner(2, dropout, EAGER)
