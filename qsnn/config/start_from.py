"""Beginning with the weights of another run: quantized after training (`trainer.epochs=0`), or to learn on with fewer bits."""

from pathlib import Path
from typing import Any

from qsnn.config.building.common import to_config
from qsnn.config.building.run import build_machine
from qsnn.config.command_line import compose_config, saved_and_given
from qsnn.config.paths import split_checkpoint
from qsnn.config.resume import checkpoint_path
from qsnn.config.schema import Config
from qsnn.errors import ConfigError, RunFolderError
from qsnn.training.checkpoint import BEST, load_checkpoint
from qsnn.training.checkpoint_layout import check_layout
from qsnn.training.run import Run


def weights_file(path: Path) -> Path:
    """The checkpoint that ``start_from=path`` names: of a folder best.pt or, if it has none, last.pt."""
    folder, name = split_checkpoint(path)
    best = folder / "checkpoints" / BEST
    if path != folder:
        return best.with_name(name)
    return best if best.exists() else checkpoint_path(folder)


def begin_with(run: Run, config: Config, path: Path) -> None:
    """Put the weights of the run in ``path`` into ``run``, which has not begun.

    Its net is built once more from its own config, for the inputs of ``run``. Raises ConfigError if the nets differ in more
    than bit widths; RunFolderError if the folder is none of a run, or damaged.
    """
    file = weights_file(path)
    other = to_config(compose_config(saved_and_given(split_checkpoint(path)[0], [])))
    if other.trainer.option != config.trainer.option:
        learned = f"its net learned by trainer={other.trainer.option}, this one by trainer={config.trainer.option}"
        raise ConfigError(f"start_from={path} does not fit: {learned}")
    try:
        net = other.trainer.build_net(other, run.task.inputs, run.task.num_outputs, build_machine(config))
        content = load_checkpoint(file, lambda found: _check(found, net.state_dict(), file))
        net.load_state_dict(content["model"])
        run.state.model.take_weights(net)
    except (ValueError, RunFolderError) as error:
        if isinstance(error, RunFolderError) and "does not fit this run" not in str(error):
            raise
        wanted = "model.*, dataset.* and windows must make nets of the same shape; only bit widths may differ"
        raise ConfigError(f"start_from={path} does not fit: {error}; {wanted}") from error
    run.state.forget_course()


def _check(found: dict[str, Any], layout: dict[str, Any], file: Path) -> None:
    if not isinstance(found.get("model"), dict):
        raise RunFolderError(f"{file} holds no net")
    check_layout(found["model"], layout, str(file), "model")
