"""Every key of local learning: nets, bit widths, neurons and trainer of the gesture and card recogniser."""

from dataclasses import dataclass

from qsnn.config.keys import key


@dataclass
class LocalNetConfig:
    """What both nets of local learning share."""

    weight_mult: list[float] = key(
        [4e-5], "factor on the stored weights, one for each layer or one for all", "", "weight_mult"
    )
    init_beta: float = key(1.5, "initial weights reach at least init_beta / 2^(weight_bits-1)", "", "global_beta")
    bias_gain: float = key(
        100.0, "initial biases reach bias_gain / sqrt(fan_in), or the end of the weights' range", "", "100, fixed"
    )
    readout_amplitude: float = key(
        0.5,
        "size of the fixed readout: its weights / readout_scale are about amplitude / sqrt(features)",
        "",
        "lc_ampl",
    )


@dataclass
class LocalConvConfig(LocalNetConfig):
    """model=local_conv: convolutions that learn locally; one entry for each layer."""

    channels: list[int] = key([64, 128, 128], "output channels", "", "64/128/128, fixed")
    kernel_size: list[int] = key([7, 7, 7], "side of the square kernel", "pixels", "7, fixed")
    padding: list[int] = key([2, 2, 2], "zeros around the maps", "pixels", "2, fixed")
    pooling: list[int] = key([2, 1, 2], "side of the pooling window", "pixels", "2/1/2, fixed")


@dataclass
class LocalMLPConfig(LocalNetConfig):
    """model=local_mlp: fully connected layers of the same rule."""

    hidden: list[int] = key([128, 128], "neurons of each layer; every layer has a readout of its own", "", "none")


@dataclass
class LocalQuantizationConfig:
    """quantization=icons and the like: bit widths of local learning, 1..16 (rng_bits 1..24); null is full precision."""

    weight_bits: int | None = key(8, "weights and biases in the convolutions", "bits", "global_wb")
    synapse_trace_bits: int | None = key(10, "synapse trace Q", "bits", "global_qb")
    membrane_trace_bits: int | None = key(12, "membrane trace P", "bits", "global_pb")
    refractory_bits: int | None = key(2, "refractory state R", "bits", "global_rfb")
    readout_weight_bits: int | None = key(6, "fixed readout and feedback weights", "bits", "global_sb")
    gradient_bits: int | None = key(
        10,
        "updates and stored weights: their step is 2^-(gradient_bits-1); with Adam or Adamax only the range of the weights",
        "bits",
        "global_gb",
    )
    error_bits: int | None = key(6, "errors", "bits", "global_eb")
    rng_bits: int = key(16, "random numbers that round the gradients", "bits", "global_rb")
    rng_rule: str = key(
        "original",
        "original: rounds up 2^-rng_bits too often; unbiased: with the probability of the rounded fraction",
    )
    membrane_bits: int | None = key(6, "membrane potential U", "bits", "global_ub")
    readout_bits: int | None = key(6, "readout activation r", "bits", "global_ab")
    sigmoid_bits: int | None = key(6, "sigmoid output z that the readout sees", "bits", "global_sig")


@dataclass
class TraceLIFConfig:
    """neuron=trace_lif: time constants of traces and refractory state; decays by euler, 1 - dt/tau."""

    dt: float = key(0.001, "length of a time step", "s", "delta_t")
    tau_mem_lower: float = key(0.005, "shortest membrane time constant", "s", "tau_mem_lower")
    tau_mem_upper: float = key(0.035, "longest membrane time constant", "s", "tau_mem_upper")
    tau_syn_lower: float = key(0.005, "shortest synapse time constant", "s", "tau_syn_lower")
    tau_syn_upper: float = key(0.01, "longest synapse time constant", "s", "tau_syn_upper")
    tau_ref: float = key(0.002857142857142857, "refractory time constant", "s", "tau_ref")
    trace_cap: float = key(1.0, "share of the largest possible traces that their formats reach", "", "PQ_cap")
    decay_bits: int | None = key(None, "fractional bits of decays and gains; null: not rounded", "bits", "none")


@dataclass
class LocalTrainerConfig:
    """trainer=local: on-line local learning, an update of every layer at every time step."""

    epochs: int = key(320, "epochs in all, also when resumed", "epochs", "epochs")
    batch_size: int = key(72, "recordings in a batch", "", "batch_size")
    burn_in: float = key(
        0.051, "start of each recording without learning and without votes", "s", "t > 50 steps, fixed"
    )
    dropout: float = key(0.5, "share of the readout that is set to 0 in training", "", "dropout_p")
    l1: float = key(0.001, "activity regulariser on the sigmoid output", "", "l1")
    l2: float = key(0.001, "activity regulariser on the mean membrane potential", "", "l2")
    lr_div: int | None = key(
        80,
        "eta halves (lr is divided by 5, in full precision) at the start of epochs lr_div, 2 lr_div, ...; null: never",
        "epochs",
        "lr_div",
    )
    validate_every: int = key(
        1,
        "epochs between validations, by which the best epoch is chosen; the last weights always compete",
        "epochs",
        "none",
    )
    train_sample: int | None = key(
        None,
        "training recordings, always the same, that the frozen net is scored on when it is validated (train_accuracy), at the "
        "cost of as many for validation; null: as many as the validation part has; 0: none",
        "",
        "none",
    )
    checkpoint_every: int = key(1, "epochs between checkpoints", "epochs", "none")
