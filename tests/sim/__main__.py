"""`python -m tests.sim SEED [COUNT]`: run one seed with every step shown, or many."""

import sys
import time

from tests.sim.run import quiet, run_seed, run_seeds


def main() -> None:
    first = int(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    quiet()
    if count == 1:
        run_seed(first, trace=True)
        return
    began = time.perf_counter()
    happened = run_seeds(range(first, first + count))
    seconds = time.perf_counter() - began
    print(f"{count} seeds in {seconds:.1f} s, {1000 * seconds / count:.1f} ms each, 0 violations")
    print(", ".join(f"{name} {times}" for name, times in happened.most_common()))


if __name__ == "__main__":
    main()
