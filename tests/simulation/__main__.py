"""`python -m simulation --seed 7`: one life, told in full. `--seeds 0 10000`: many, quietly; stops at nothing."""

import argparse
import logging
import sys
import time

from simulation.scenario import simulate


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="replay one seed and print all that happens")
    parser.add_argument("--seeds", type=int, nargs=2, metavar=("FROM", "TO"), help="run a range of seeds")
    options = parser.parse_args()
    if options.seed is None:
        logging.disable(logging.CRITICAL)
    if options.seed is not None:
        outcome = simulate(options.seed, verbose=True)
        print("\n".join(outcome.faults) or "no faults", f"({outcome.entries} entries, trace {outcome.trace[:12]})")
        return 1 if outcome.faults else 0
    first, last = options.seeds or (0, 200)
    failed = 0
    began = time.monotonic()
    for seed in range(first, last):
        try:
            outcome = simulate(seed)
        except Exception as error:
            failed += 1
            print(f"seed {seed}: {type(error).__name__}: {error}", flush=True)
            continue
        if outcome.faults:
            failed += 1
            print(f"seed {seed}: {len(outcome.faults)} faults, first: {outcome.faults[0]}", flush=True)
    print(f"{last - first} seeds, {failed} failed, {time.monotonic() - began:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
