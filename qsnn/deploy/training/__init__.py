"""Learning on a machine without floats: `IntegerTrainer` repeats a run's updates from its start, code for code.

Without torch:  recipe.py (what learning needs beside a `Model`), codes.py (E, random numbers, rounding), held.py (proved
widths), forward.py, backward.py, losses.py, local.py, update.py, widths.py, trainer.py, files.py (training.json).
From torch:  from_run.py (`learning_of`), replay.py (`repeat`: the run and the trainer side by side).
"""
