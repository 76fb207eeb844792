#!/usr/bin/env python3
"""Prints what took longest in the builds that a build directory remembers (.ninja_log).

Times are of the clock: build with `ninja -j1` on an idle machine, and without ccache, to compare files with each other.
"""
import argparse
import json
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def outputs(log):
    """Seconds by output, of its last build. Raises ValueError for a file that is no log of ninja."""
    if not log.startswith("# ninja log v"):
        raise ValueError("not a log of ninja")
    seconds = {}
    for number, line in enumerate(log.splitlines(), 1):
        if line.startswith("#") or not line:
            continue
        columns = line.split("\t")
        if len(columns) != 5:
            raise ValueError(f"line {number} has {len(columns)} columns, not 5")
        seconds[columns[3]] = (int(columns[1]) - int(columns[0])) / 1000
    return seconds


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
               "  tools/slowest_objects.py\n"
               "  tools/slowest_objects.py --build build/asan --count 5 --json\n"
               "  tools/slowest_objects.py --most 30     # exits 1 when an object took longer")
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"), help="build directory (build/release)")
    parser.add_argument("--count", type=int, default=20, help="how many to print (20)")
    parser.add_argument("--all", action="store_true", help="also what is no object: libraries, programs")
    parser.add_argument("--most", type=float, help="exit with 1 when one took more seconds than this")
    parser.add_argument("--json", action="store_true", help='a list of {"output": ..., "seconds": ...}')
    arguments = parser.parse_args()
    path = os.path.join(arguments.build, ".ninja_log")
    try:
        with open(path, encoding="utf-8") as file:
            seconds = outputs(file.read())
    except (OSError, ValueError) as problem:
        print(f"slowest_objects: {path}: {problem}", file=sys.stderr)
        return 2
    rows = sorted(((s, o) for o, s in seconds.items() if arguments.all or o.endswith((".o", ".gch"))), reverse=True)
    if arguments.json:
        print(json.dumps([{"output": o, "seconds": s} for s, o in rows[: arguments.count]], indent=1))
    else:
        for s, o in rows[: arguments.count]:
            print(f"{s:8.1f} s  {o}")
        print(f"{sum(s for s, _ in rows):8.1f} s  in all, {len(rows)} objects")
    return 1 if arguments.most is not None and rows and rows[0][0] > arguments.most else 0


if __name__ == "__main__":
    sys.exit(main())
