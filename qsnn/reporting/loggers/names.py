"""What loggers and the ends of runs are called."""

TENSORBOARD, CSV, WANDB, MLFLOW = LOGGERS = ("tensorboard", "csv", "wandb", "mlflow")
PACKAGES = {
    TENSORBOARD: "pip install tensorboard",
    WANDB: "pip install qsnn[wandb]",
    MLFLOW: "pip install qsnn[mlflow]",
}
"""What brings the package, of the same name, that a logger needs."""
FINISHED, STOPPED, FAILED = ENDS = ("finished", "stopped", "failed")
