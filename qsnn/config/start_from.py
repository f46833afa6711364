"""Beginning with the weights of another run: quantized after training (`trainer.epochs=0`), or to learn on with fewer bits."""

from pathlib import Path

from qsnn.config.nets import load_net
from qsnn.config.schema import Config
from qsnn.errors import ConfigError
from qsnn.training.run import Run


def begin_with(run: Run, config: Config, path: Path) -> None:
    """Put the weights of the run in ``path`` into ``run``, which has not begun.

    Raises ConfigError if the nets differ in more than bit widths; RunFolderError if the folder is none of a run, or damaged.
    """
    other = load_net(path)
    if other.config.trainer.option != config.trainer.option:
        learned = (
            f"its net learned by trainer={other.config.trainer.option}, this one by trainer={config.trainer.option}"
        )
        raise ConfigError(f"start_from={path} does not fit: {learned}")
    try:
        run.state.model.take_weights(other.net.to(next(iter(run.state.model.trained_tensors().values())).device))
    except ValueError as error:
        wanted = "model.*, dataset.* and windows must make nets of the same shape; only bit widths may differ"
        raise ConfigError(f"start_from={path} does not fit: {error}; {wanted}") from error
    run.state.forget_course()
