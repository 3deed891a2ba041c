"""What becomes of a folder of Compose files: `python bench/compose.py --corpus DIR [--output json]`.

Each file is imported alone, with an empty environment. Exit code 1 if one makes the importer crash.
"""

import argparse
import json
import re
import time
import traceback
from collections import Counter
from pathlib import Path

from omnitide.compose.importing import import_compose
from omnitide.model.manifest import ManifestError

NEEDS = "--corpus DIR"
"""Without a name scripts/bench leaves out what cannot be run so."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="Folder of *.yaml and *.yml, at any depth.")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    parser.add_argument("--each", action="store_true", help="A line for each file too.")
    options = parser.parse_args()
    counts: Counter[str] = Counter(dict.fromkeys(("whole", "losses", "refused", "crashed"), 0))
    losses: Counter[str] = Counter()
    refusals: dict[str, str] = {}
    began = time.perf_counter()
    files = sorted(file for file in options.corpus.rglob("*.y*ml") if file.is_file())
    for file in files:
        try:
            imported = import_compose([str(file)], {})
        except ManifestError as error:
            kind = "refused"
            refusals[str(file.relative_to(options.corpus))] = str(error.faults[0])
        except Exception:
            kind = "crashed"
            traceback.print_exc()
        else:
            kind = "losses" if imported.losses else "whole"
            losses.update({re.sub(r"\[\d+\]", "[]", pattern(loss.key)) for loss in imported.losses})
        counts[kind] += 1
        if options.each:
            print(f"{kind:8} {file.relative_to(options.corpus)}")
    took = time.perf_counter() - began
    if options.output == "json":
        print(json.dumps({"files": len(files), **counts, "seconds": took, "losses": losses, "refusals": refusals}))
        return bool(counts["crashed"])
    print(f"{len(files)} files in {took:.1f} s")
    for kind, count in counts.items():
        print(f"  {kind:8} {count:5}  {100 * count / max(len(files), 1):5.1f} %")
    print("losses, by how many files have them:")
    for key, count in losses.most_common():
        print(f"  {count:5}  {key}")
    print("refused:")
    for file, reason in refusals.items():
        print(f"  {file}: {reason}")
    return bool(counts["crashed"])


def pattern(key: str) -> str:
    """`services.web.image` as `services.*.image`; of labels and variables, the key that holds them."""
    steps = key.split(".")
    if len(steps) > 1:
        steps[1] = "*"
    for holder in ("environment", "labels", "networks", "options"):
        if holder in steps[2:]:
            at = steps.index(holder, 2)
            steps = steps[: at + 1] + (["*", *steps[at + 2 :]] if holder == "networks" and len(steps) > at + 1 else [])
    return ".".join(steps)


if __name__ == "__main__":
    raise SystemExit(main())
