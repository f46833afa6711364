"""The errors that a user can cause. Each message is one line: what is wrong, where, what is allowed, what to do."""


class QsnnError(Exception):
    """Base of every error that the command line prints as one line, without a traceback."""


class ConfigError(QsnnError):
    """A setting is out of range, or two settings contradict each other."""


class DataError(QsnnError):
    """A data file is missing, broken, of the wrong shape, or refused."""


class RunFolderError(QsnnError):
    """A run's folder or checkpoint is missing, broken, or belongs to another run."""


class NonFiniteError(QsnnError):
    """A tensor holds NaN or Inf; the message names the tensor and the epoch."""
