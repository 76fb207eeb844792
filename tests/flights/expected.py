#!/usr/bin/env python3
"""The flights job's three outputs, worked out without Drey, and a comparison with what a job wrote.

    expected.py DIR --input flights.csv.zst --airlines airlines.csv.zst [--years N]

compares DIR/departures, DIR/punctuality and DIR/streaks as multisets of lines; prints what differs and exits 1.
"""
import argparse
import calendar
import collections
import csv
import datetime
import functools
import hashlib
import io
import os
import pickle
import re
import subprocess
import sys

HOUR = datetime.timedelta(hours=1)
GAP = 12 * HOUR
PART = re.compile(r"part-[0-9a-f]{32}-[0-9a-f]{32}-\d+-\d+\.csv")


def read(path):
    """Rows of a CSV file, plain or zstd-compressed, as dictionaries; NA is None."""
    with open(path, "rb") as f:
        data = f.read()
    if data[:4] == b"\x28\xb5\x2f\xfd":
        data = subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout
    for row in csv.DictReader(io.StringIO(data.decode())):
        yield {k: None if v == "NA" else v for k, v in row.items()}


@functools.lru_cache(None)
def stamp(t):
    return t.isoformat() + "Z"


def line(*fields):
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(["" if f is None else f for f in fields])
    return out.getvalue()


class Pass:
    """Shifts instants by whole years; remembers what it has worked out, for there are few hours and many flights."""

    def __init__(self, years):
        self.years = years
        self.shifted = {}

    def __call__(self, t):
        at = self.shifted.get(t)
        if at is None:
            at = self.shifted[t] = t.replace(year=t.year + self.years)
        return at


def runs_of(legs, shift):
    """(first, last, legs, route) of what lies less than 12 h apart when moved by `shift`; instants are not moved."""
    runs = []
    for time, _, hop in legs:
        if runs and shift(time) - shift(runs[-1][1]) < GAP:
            first, _, count, route = runs[-1]
            runs[-1] = (first, time, count + 1, f"{route} {hop}")
        else:
            runs.append((time, time, 1, hop))
    return runs


def added_up(groups, passes, describe):
    """(key, start, description) of all groups of all passes. What one pass alone fills is described once."""
    described = {group: describe(values) for group, values in groups.items()}
    sources = collections.defaultdict(list)
    for shift in passes:
        for group in groups:
            sources[group[0], shift(group[1])].append(group)
    for (key, start), of in sources.items():
        yield key, start, described[of[0]] if len(of) == 1 else describe([v for group in of for v in groups[group]])


def expected(path, airlines, years):
    """One pass over the file; the other years are the same, moved, and added up where they meet."""
    names = {row["carrier"]: row["name"] for row in read(airlines)}
    hours, days, legs = {}, {}, collections.defaultdict(list)
    for row in read(path):
        time = datetime.datetime.strptime(row["time_hour"], "%Y-%m-%dT%H:%M:%SZ")
        left = row["dep_time"] is not None
        hours.setdefault((row["origin"], time), []).append(int(row["dep_delay"]) if left else None)
        if not left:
            continue
        days.setdefault((row["carrier"], time.replace(hour=0)), []).append(int(row["dep_delay"]))
        if row["tailnum"] is not None:
            legs[row["tailnum"]].append((time, int(row["flight"]), f"{row['origin']}>{row['dest']}"))

    def delays_of(flown_or_not):
        flown = [d for d in flown_or_not if d is not None]
        mean = "%.3f" % (sum(flown) / len(flown)) if flown else None
        return line(len(flown_or_not), len(flown_or_not) - len(flown), mean, max(flown) if flown else None)

    def share_of(flown):
        on_time = sum(1 for d in flown if d <= 15)
        return line(len(flown), on_time, "%.3f" % (on_time / len(flown)))

    passes = [Pass(k) for k in range(years)]
    departures = [f"{origin},{stamp(start)},{rest}" for origin, start, rest in added_up(hours, passes, delays_of)]
    heads = {carrier: line(carrier, names.get(carrier, "")) for carrier, _ in days}
    punctuality = [f"{heads[carrier]},{stamp(start)},{rest}" for carrier, start, rest in added_up(days, passes, share_of)]
    streaks = []
    for tail, unsorted in legs.items():
        in_order = sorted(unsorted, key=lambda l: l[:2])
        by_leap = {}  # 29 February lies between legs in some years
        open_run = None

        def close(run):
            if run is not None and run[2] >= 3:
                streaks.append(f"{tail},{stamp(run[0])},{stamp(run[1])},{run[2]},{run[3]}")

        for shift in passes:
            leap = calendar.isleap(in_order[0][0].year + shift.years)
            if leap not in by_leap:
                by_leap[leap] = runs_of(in_order, shift)
            for first, last, count, route in by_leap[leap]:
                first, last = shift(first), shift(last)
                if open_run is not None and first - open_run[1] < GAP:
                    open_run = (open_run[0], last, open_run[2] + count, f"{open_run[3]} {route}")
                else:
                    close(open_run)
                    open_run = (first, last, count, route)
        close(open_run)
    return {"departures": departures, "punctuality": punctuality, "streaks": streaks}


def remembered(path, airlines, years):
    """What expected() says. It takes seconds, so it is kept under build/, by the bytes it depends on."""
    key = hashlib.sha256(str(years).encode())
    for source in (os.path.abspath(__file__), path, airlines):
        with open(source, "rb") as f:
            key.update(hashlib.sha256(f.read()).digest())
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    kept = os.path.join(root, "build", "expected", key.hexdigest())
    try:
        with open(kept, "rb") as f:
            return pickle.load(f)
    except OSError:
        outputs = expected(path, airlines, years)
    os.makedirs(os.path.dirname(kept), exist_ok=True)
    with open(f"{kept}.{os.getpid()}", "wb") as f:
        pickle.dump(outputs, f)
    os.replace(f.name, kept)
    return outputs


def written(folder):
    lines = []
    for name in sorted(os.listdir(folder)):
        if not PART.fullmatch(name):
            raise SystemExit(f"{folder} holds {name}: only committed part files may be left")
        with open(os.path.join(folder, name), encoding="utf-8", newline="") as f:
            text = f.read()
        if text and not text.endswith("\n"):
            raise SystemExit(f"{folder}/{name} does not end with a line end")
        lines += text.split("\n")[:-1]
    return lines


def compare(directory, path, airlines, years):
    """What is wrong, as text; empty when everything is equal."""
    problems = []
    for name, lines in remembered(path, airlines, years).items():
        try:
            got = collections.Counter(written(os.path.join(directory, name)))
        except SystemExit as problem:
            problems.append(str(problem))
            continue
        want = collections.Counter(lines)
        missing, extra = want - got, got - want
        if missing or extra:
            problems.append(f"{name}: {sum(want.values())} rows expected, {sum(got.values())} written; "
                            f"missing {sum(missing.values())}: {list(missing)[:3]}, too many {sum(extra.values())}: {list(extra)[:3]}")
    return "\n".join(problems)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--input", required=True)
    parser.add_argument("--airlines", required=True)
    parser.add_argument("--years", type=int, default=1)
    args = parser.parse_args()
    problems = compare(args.directory, args.input, args.airlines, args.years)
    print(problems or "equal")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
