"""Every key of the config: type, default, meaning, unit, and the name it had in the original programs.

One dataclass a group option; the YAML files in conf/ hold the same defaults for reading and overriding. Composition
checks names and types against these classes, docs/config.md is written from them (`scripts/write_config_docs.py`).
"""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import II, MISSING

from qsnn.config.keys import key
from qsnn.config.schema_datasets import DVSGestureConfig, NMNISTConfig, SlowPokerConfig, SyntheticGestureConfig
from qsnn.config.schema_local import (
    LocalConvConfig,
    LocalMLPConfig,
    LocalQuantizationConfig,
    LocalTrainerConfig,
    TraceLIFConfig,
)


@dataclass
class PatternNetConfig:
    """model=pattern_net: two fully connected layers of current-based LIF neurons."""

    num_inputs: int = key(700, "input channels", "", "nb_inputs")
    num_hidden: int = key(400, "hidden neurons", "", "nb_hidden")
    num_outputs: int = key(250, "output neurons", "", "nb_outputs")
    fan_in: int | None = key(
        48, "inputs that initialisation assumes in both layers; null: each layer's own", "", "784, fixed"
    )
    init_beta: float | None = key(
        None,
        "initial weights reach beta / 2^(weight_bits-1); null: 2^(weight_bits-1) - 0.5, the whole range",
        "",
        "2^(wb-1) - 0.5, fixed",
    )


@dataclass
class QuantizationConfig:
    """quantization=*: bit widths, 1..16 (rng_bits 1..24); null is full precision."""

    weight_bits: int | None = key(2, "weights in the forward and backward products", "bits", "global_wb")
    state_bits: int | None = key(8, "both neuron states; grid of the initial weights", "bits", "global_ab")
    membrane_bits: int | None = key(
        II(".state_bits"), "membrane potential; follows state_bits unless set", "bits", "global_ab"
    )
    synapse_bits: int | None = key(
        II(".state_bits"), "synaptic current; follows state_bits unless set", "bits", "global_ab"
    )
    error_bits: int | None = key(8, "errors in the backward pass", "bits", "global_eb")
    gradient_bits: int | None = key(
        8,
        "weight gradients: their step is 2^-(gradient_bits-1), which moves weights with sgd only, see optimizer.eta",
        "bits",
        "global_gb",
    )
    rng_bits: int = key(16, "random numbers that round the gradients", "bits", "global_rb")
    rng_rule: str = key(
        "unbiased",
        "original: rounds up 2^-rng_bits too often; unbiased: with the probability of the rounded fraction",
    )


@dataclass
class CubaLIFConfig:
    """neuron=cuba_lif: time constants, threshold and surrogate of the current-based LIF neuron and of the loss."""

    dt: float = key(0.001, "length of a time step", "s", "time_step")
    tau_mem: float = key(0.01, "membrane time constant", "s", "tau_mem")
    tau_syn: float = key(0.005, "synapse time constant", "s", "tau_syn")
    tau_vr: float = key(0.005, "time constant of the van Rossum filter", "s", "tau_vr")
    decay: str = key("dyadic", "rule from tau to a factor per step: exponential, euler or dyadic")
    membrane_decay: float | None = key(
        None, "factor per step that overrides tau_mem; null: by the rule", "", "beta (0.875)"
    )
    synapse_decay: float | None = key(
        None, "factor per step that overrides tau_syn; null: by the rule", "", "alpha (0.75)"
    )
    van_rossum_decay: float | None = key(
        None, "factor per step that overrides tau_vr; null: by the rule", "", "alpha (0.75)"
    )
    threshold: float = key(0.9, "a neuron spikes when its membrane exceeds it", "", "0.9, fixed")
    surrogate_slope: float = key(1.0, "slope of the SuperSpike surrogate gradient", "", "100, fixed")
    threshold_mask: bool = key(
        False,
        "stop errors at membranes too far below the threshold for the state's format; false: none dies",
        "",
        "true, fixed",
    )


@dataclass
class PatternDatasetConfig:
    """dataset=pattern: one input raster and one target raster, the same in every epoch."""

    input: str | None = key(
        None,
        "input raster file (.npy .npz .pt .pkl), [inputs, steps]; null: generated Poisson spike trains",
        "",
        "input",
    )
    target: str = key(
        "smile", "target raster file [steps, outputs], picture file (.png .jpg), or built-in: smile, tree, letters:nd ...",
        "", "target",
    )  # fmt: skip
    num_steps: int = key(250, "length of input and target", "time steps", "nb_steps")
    density: float = key(0.95, "probability with which each set pixel of a picture is kept", "", "in the file's name")
    threshold: float = key(0.5, "pixels of a picture file brighter than this share of white are set")
    seed: int = key(0, "seed of the generated input and of the kept pixels", "", "none: fixed files")


@dataclass
class BPTTConfig:
    """trainer=bptt: quantized backpropagation through time, one update an epoch."""

    epochs: int = key(10000, "epochs in all, also when resumed", "epochs", "nb_epochs")
    checkpoint_every: int = key(500, "epochs between checkpoints", "epochs", "none")


ETA = (
    "learning rate inside the gradient quantizer: the largest gradient becomes an integer of about eta, so that eta, not "
    "gradient_bits, sets the integers' width"
)
LR_SCHEDULE = "how lr falls until the last epoch: constant, cosine, linear or halving"
ETA_SCHEDULE = "how eta falls until the last epoch: constant, cosine, linear or halving"


@dataclass
class OptimizerConfig:
    """What all optimizers share."""

    lr: float = key(1.0, "learning rate on quantized gradients", "", "1, fixed (Adamax)")
    lr_full_precision: float = key(0.001, "learning rate when gradient_bits is null", "", "none")
    eta: float = key(0.1, ETA, "", "0.1, fixed")
    lr_schedule: str = key("constant", LR_SCHEDULE)
    eta_schedule: str = key("constant", ETA_SCHEDULE)
    num_halvings: int = key(6, "how often the halving schedule halves", "", "none (lr_div in the gesture program)")


@dataclass
class AdamaxConfig(OptimizerConfig):
    """optimizer=adamax: the original's."""

    betas: list[float] = key([0.9, 0.999], "decay of the mean and of the largest gradient", "", "(0.9, 0.999), fixed")
    eps: float = key(1e-8, "added to the divisor", "", "1e-8, fixed")


@dataclass
class AdamConfig(OptimizerConfig):
    """optimizer=adam."""

    lr: float = key(0.02, "learning rate on quantized gradients")
    eta: float = key(64.0, ETA)
    lr_schedule: str = key("cosine", LR_SCHEDULE)
    betas: list[float] = key([0.9, 0.999], "decay of the two moments")
    eps: float = key(1e-8, "added to the divisor")


@dataclass
class SGDConfig(OptimizerConfig):
    """optimizer=sgd: with lr 1 and no momentum every stored weight stays on the integer grid."""

    lr_full_precision: float = key(0.0001, "learning rate when gradient_bits is null")
    eta: float = key(16.0, ETA)
    eta_schedule: str = key("cosine", ETA_SCHEDULE)
    momentum: float = key(0.0, "momentum; above 0 the stored weights leave the grid")


@dataclass
class LimitsConfig:
    """logging.limits: shares above which a health figure prints a warning."""

    saturation: float = key(0.95, "values at or beyond the ends of their range", "share")
    underflow: float = key(0.999, "non-zero values that become zero", "share")
    never_changed: float = key(0.99, "weights whose code was never seen to change", "share")
    silent: float = key(0.9, "neurons without a spike", "share")
    always_firing: float = key(0.1, "neurons that spike in nine of ten steps", "share")


@dataclass
class LoggingConfig:
    """logging: epochs between two writings of each kind; 0 switches it off."""

    metrics_every: int = key(50, "distance, firing rates, gradient norms", "epochs")
    health_every: int = key(2000, "saturation, underflow, codes in use, idle neurons, unchanged weights", "epochs")
    raster_every: int = key(2000, "spike rasters", "epochs")
    histogram_every: int = key(
        2000, "histograms of the codes of weights, membranes and, in local learning, traces", "epochs"
    )
    tensorboard: bool = key(True, "write TensorBoard event files")
    progress: bool = key(True, "show the progress bar")
    limits: LimitsConfig = field(default_factory=LimitsConfig)


@dataclass
class Config:
    """The root."""

    name: str = key("pattern", "name of the experiment: its runs' folder in outputs/")
    seed: int = key(0, "seed of initial weights and gradient rounding", "", "none: not seeded")
    device: str = key("cpu", "cpu, cuda or cuda:<index>")
    kernels: str = key("auto", "auto, eager, numba or triton; all give the same bits on grids")
    threads: int = key(1, "CPU threads of a run; more pay off only for nets or batches much larger than the default's")
    resume: str | None = key(
        None,
        "folder of a run to go on with, or its checkpoints/previous.pt; auto: the run in hydra.run.dir if it has a "
        "checkpoint, else a new one",
        "",
        "none",
    )
    model: Any = MISSING
    quantization: Any = MISSING
    neuron: Any = MISSING
    dataset: Any = MISSING
    trainer: Any = MISSING
    optimizer: Any = MISSING
    logging: LoggingConfig = field(default_factory=LoggingConfig)


GROUPS: dict[str, dict[str, type]] = {
    "model": {"pattern_net": PatternNetConfig, "local_conv": LocalConvConfig, "local_mlp": LocalMLPConfig},
    "quantization": {"bits": QuantizationConfig, "local_bits": LocalQuantizationConfig},
    "neuron": {"cuba_lif": CubaLIFConfig, "trace_lif": TraceLIFConfig},
    "dataset": {
        "pattern": PatternDatasetConfig,
        "dvs_gesture": DVSGestureConfig,
        "slow_poker": SlowPokerConfig,
        "nmnist": NMNISTConfig,
        "synthetic_gesture": SyntheticGestureConfig,
    },
    "trainer": {"bptt": BPTTConfig, "local": LocalTrainerConfig},
    "optimizer": {"adamax": AdamaxConfig, "adam": AdamConfig, "sgd": SGDConfig},
}


def register_schema() -> None:
    """Make the classes known to Hydra as ``schema`` and ``schema/<group>/<option>``, which the files in conf/ name."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for group, options in GROUPS.items():
        for option, node in options.items():
            store.store(group=f"schema/{group}", name=option, node=node)
