"""Where a run's figures go beside metrics.jsonl: the loggers of ``logging.to``."""
