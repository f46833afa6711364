"""Names that 0.1 had: one line each tells what they are called now."""

OLD_KEYS = {
    "model.num_hidden": "model.hidden, a list: model.hidden=[400]",
    "model.num_inputs": "dataset.num_inputs: sizes of input and output belong to the data set",
    "model.num_outputs": "dataset.num_outputs: sizes of input and output belong to the data set",
    "model.weight_mult": "trainer.weight_mult",
    "model.bias_gain": "trainer.bias_gain",
    "model.readout_amplitude": "trainer.readout_amplitude",
    "neuron.tau_vr": "loss.tau_vr, of loss=van_rossum",
    "neuron.van_rossum_decay": "loss.van_rossum_decay, of loss=van_rossum",
    "trainer.l1": "loss.l1",
    "trainer.l2": "loss.l2",
    "logging.tensorboard": "logging.to, a list: logging.to=[] for no TensorBoard",
}
OLD_WORDS = {"logging.tensorboard=false": ["logging.to=[]"], "logging.tensorboard=true": []}
"""What stands in folders of runs that were started before, and what it is now."""
OLD_OPTIONS = {
    "model": {"pattern_net": "pattern", "local_conv": "conv", "local_mlp": "feedforward model.hidden=[128,128]"},
    "quantization": {"icons_full_precision": "full_precision"},
    "trainer": {"bptt_randman_small": "bptt_randman"},
}


def renewed(words: list[str]) -> list[str]:
    """The overrides of a run that was started before a key was renamed, with its present name."""
    return [new for word in words for new in OLD_WORDS.get(word.strip().lower(), [word])]


def hint_for_key(key: str) -> str | None:
    """What an old key is called now; None if it is no old one."""
    new = OLD_KEYS.get(key)
    return None if new is None else f"{key} is now {new}"


def hint_for_option(group: str, option: str) -> str | None:
    """What an old option is called now; None if it is no old one."""
    new = OLD_OPTIONS.get(group, {}).get(option)
    return None if new is None else f"{group}={option} is now {group}={new}"
