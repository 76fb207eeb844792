#!/usr/bin/env python3
"""Compares tools/packages.txt with what a build folder includes and links.

    tools/check_packages.py build/release

Exits 1 and says so when the build uses a file of a package that the list neither names nor pulls in, or when the list names
a library that nothing uses.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Used in other ways than by an include: tools, and what tests need.
TOOLS = {"build-essential", "ccache", "cmake", "curl", "git", "mold", "ninja-build", "openssl", "pkg-config", "python3", "zstd"}


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def package_of(paths):
    """Path -> package, for files that dpkg knows."""
    found = {}
    paths = sorted(paths)
    for at in range(0, len(paths), 500):
        for line in output("dpkg", "-S", *paths[at:at + 500]).splitlines():
            owners, path = line.split(": ", 1)
            found[path] = owners.split(",")[0].split(":")[0]
    return found


def closure(names):
    """The packages and all that they depend on, of those that are installed."""
    depends = {}
    for line in output("dpkg-query", "-W", "-f", "${Package}\t${Provides}\t${Depends}, ${Pre-Depends}\n").splitlines():
        package, provides, needs = line.split("\t")
        wanted = set(re.findall(r"([a-z0-9][a-z0-9+.-]+)(?::\w+)?(?: \([^)]*\))?", needs))
        depends.setdefault(package, set()).update(wanted)
        for name in re.findall(r"[a-z0-9][a-z0-9+.-]+", re.sub(r"\([^)]*\)", "", provides)):
            depends.setdefault(name, set()).add(package)
    seen, todo = set(), list(names)
    while todo:
        name = todo.pop()
        if name in seen or name not in depends:
            continue
        seen.add(name)
        todo += depends[name]
    return seen


def used_files(build):
    files = set(re.findall(r"^\s+(/usr/\S+)$", output("ninja", "-C", build, "-t", "deps"), re.M))
    for command in output("ninja", "-C", build, "-t", "commands").splitlines():
        files.update(re.findall(r"(/usr/\S+\.(?:so|a))(?=\s|$)", command))
    return {os.path.normpath(f) for f in files}


def main():
    build = sys.argv[1]
    wanted = [re.split(r"\s*\|\s*", line.strip()) for line in open(os.path.join(ROOT, "tools/packages.txt"), encoding="utf-8") if not line.startswith("#")]
    files = used_files(build)
    if not files:
        print(f"{build} has no record of a build", file=sys.stderr)
        return 1
    owners = package_of(files)
    covered = closure(name for alternatives in wanted for name in alternatives)
    problems = []
    for path, package in owners.items():
        if package not in covered:
            problems.append(f"{path} is of {package}, which tools/packages.txt does not bring")
    unowned = [f for f in files if f not in owners and os.path.exists(f) and f not in package_of({os.path.realpath(f)})]
    problems += [f"{path} is of no package" for path in unowned if os.path.realpath(path) not in package_of({os.path.realpath(path)})]
    used = set(owners.values())
    for alternatives in wanted:
        if alternatives[0] in TOOLS:
            continue
        # A package may only point to another one of its source, as libboost-dev does.
        if not any(used & ({name} | {d for d in closure([name]) if d.startswith(name.removesuffix("-dev").rstrip("0123456789."))}) for name in alternatives):
            problems.append(f"{alternatives[0]} is in tools/packages.txt, but the build uses nothing of it")
    for problem in sorted(problems)[:50]:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{len(files)} files of {len(used)} packages: all in the closure of tools/packages.txt")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
