"""Ask a net about recordings: ``python -m qsnn.predict run=outputs/... recording.aedat [...]``."""

from qsnn.command import run_and_leave, wants_usage

USAGE = """usage: python -m qsnn.predict run=outputs/<experiment>/<time> FILE_OR_FOLDER ... [format=table|csv|json] [out=FILE]
                              [votes=FILE] [pictures=FOLDER] [time_unit=s|us] [device=... kernels=... threads=...]

Prints the class of each recording and its votes, from the run's best weights (or its last, or those of a checkpoint that
run=.../checkpoints/<name>.pt names). A recording is any event file that can be read (AEDAT 2.0 and 3.1, N-MNIST .bin), every
one in a folder, each sample of a .npz that dataset=arrays or dataset=array_maps would take (labels are not needed), or a
raster of 0 and 1, [steps, inputs], in a .npy or .npz. Of each the run's test window is looked at, from its start. The data
that the net learned from are not needed. pictures= writes a picture of each: events, spikes, and votes over time.

Votes over time are in format=json; votes=FILE writes them as CSV, a row for each recording and step. format=csv out=answer.csv
writes answer_votes.csv too. time_unit= is that of times in a .npz, as dataset.time_unit. Nothing is written over a file.
"""


def main() -> None:
    """Entry point of ``qsnn-predict``."""
    run_and_leave(_predict)


def _predict(arguments: list[str]) -> None:
    if wants_usage(arguments, USAGE, of_a_run=True):
        return
    from qsnn.config.command_line import set_up
    from qsnn.config.predicting.predict import predict

    set_up()
    print(predict(arguments))


if __name__ == "__main__":
    main()
