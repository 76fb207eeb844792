#!/usr/bin/env python3
"""The flights job's three outputs, worked out without Drey, and a comparison with what a job wrote.

    expected.py DIR --input flights.csv.zst --airlines airlines.csv.zst [--years N]

compares DIR/departures, DIR/punctuality and DIR/streaks as multisets of lines; prints what differs and exits 1.
"""
import argparse
import collections
import csv
import datetime
import hashlib
import io
import os
import pickle
import re
import subprocess
import sys

HOUR = datetime.timedelta(hours=1)
GAP = 12 * HOUR
PART = re.compile(r"part-[0-9a-f]{8}-\d+-\d+\.csv")


def read(path):
    """Rows of a CSV file, plain or zstd-compressed, as dictionaries; NA is None."""
    with open(path, "rb") as f:
        data = f.read()
    if data[:4] == b"\x28\xb5\x2f\xfd":
        data = subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout
    for row in csv.DictReader(io.StringIO(data.decode())):
        yield {k: None if v == "NA" else v for k, v in row.items()}


def stamp(t):
    return t.strftime("%Y-%m-%dT%H:%M:%SZ")


def line(*fields):
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(["" if f is None else f for f in fields])
    return out.getvalue()


def flights(path, years):
    rows = list(read(path))
    for row in rows:
        row["time"] = datetime.datetime.strptime(row["time_hour"], "%Y-%m-%dT%H:%M:%SZ")
    for k in range(years):
        for row in rows:
            yield row, row["time"].replace(year=row["time"].year + k)


def expected(path, airlines, years):
    names = {row["carrier"]: row["name"] for row in read(airlines)}
    hours = collections.defaultdict(list)
    days = collections.defaultdict(list)
    legs = collections.defaultdict(list)
    for row, time in flights(path, years):
        left = row["dep_time"] is not None
        hours[row["origin"], time].append(int(row["dep_delay"]) if left else None)
        if not left:
            continue
        days[row["carrier"], time.replace(hour=0)].append(int(row["dep_delay"]))
        if row["tailnum"] is not None:
            legs[row["tailnum"]].append((time, int(row["flight"]), f"{row['origin']}>{row['dest']}"))

    departures = []
    for (origin, start), delays in hours.items():
        flown = [d for d in delays if d is not None]
        mean = "%.3f" % (sum(flown) / len(flown)) if flown else None
        departures.append(line(origin, stamp(start), len(delays), len(delays) - len(flown), mean, max(flown) if flown else None))
    punctuality = []
    for (carrier, start), delays in days.items():
        on_time = sum(1 for d in delays if d <= 15)
        punctuality.append(line(carrier, names.get(carrier, ""), stamp(start), len(delays), on_time, "%.3f" % (on_time / len(delays))))
    streaks = []
    for tail, all_legs in legs.items():
        run = []
        for leg in sorted(all_legs, key=lambda l: l[:2]) + [None]:
            if run and (leg is None or leg[0] - run[-1][0] >= GAP):
                if len(run) >= 3:
                    streaks.append(line(tail, stamp(run[0][0]), stamp(run[-1][0]), len(run), " ".join(l[2] for l in run)))
                run = []
            if leg:
                run.append(leg)
    return {"departures": departures, "punctuality": punctuality, "streaks": streaks}


def remembered(path, airlines, years):
    """What expected() says. It takes seconds a year, so it is kept under build/, by the bytes it depends on."""
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
