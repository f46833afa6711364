"""Print a Markdown table of finished runs.

python scripts/results_table.py outputs/multirun/pattern/<time> outputs/pattern_full_precision/<time>
"""

import argparse
import json
from pathlib import Path

COLUMNS = ("weights", "epochs", "final distance", "best distance (epoch)", "final / silent", "best / silent", "seconds")


def row(summary: dict) -> list[str]:
    """The cells of one run."""
    bits, final, best = summary["quantization"]["weight_bits"], summary["final"], summary["best"]
    return [
        "full precision" if bits is None else f"{bits} bits",
        f"{summary['epochs']}",
        f"{final['distance']:.1f}",
        f"{best['distance']:.1f} ({best['epoch']})",
        f"{final['relative_distance']:.1%}",
        f"{best['relative_distance']:.1%}",
        f"{summary['seconds']:.0f}",
    ]


def main() -> None:
    """Read every summary.json below the folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    files = [path for folder in parser.parse_args().folders for path in sorted(folder.rglob("summary.json"))]
    summaries = sorted(
        (json.loads(path.read_text()) for path in files), key=lambda s: s["quantization"]["weight_bits"] or 99
    )
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS))
    for summary in summaries:
        print("| " + " | ".join(row(summary)) + " |")
    print(f"\nDistance of a silent net: {summaries[0]['silent_distance']:.1f}; versions: {summaries[0]['versions']}")


if __name__ == "__main__":
    main()
