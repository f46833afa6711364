"""What every kernel runs on: compiling, threads, memory, arrays."""
