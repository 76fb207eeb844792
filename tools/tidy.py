#!/usr/bin/env python3
"""House rules that a tool can check, in some seconds. Prints what is wrong and exits 1.

    tools/tidy.py            the whole repository
"""
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Call, where it is allowed, what to use instead.
BANNED = [
    (r"std::chrono::(system|steady|high_resolution)_clock", ("src/env/", "bench/"), "env::Clock"),
    (r"\bstd::thread\b", ("src/env/",), "env::Threads"),
    (r"\bgetenv\(", ("src/env/",), "env::environment_variable"),
    (r"\bfopen\(|std::[io]?fstream", ("src/env/", "include/drey/", "tests/"), "env::FileSystem"),
    (r"\brand\(\)|std::mt19937|std::random_device", ("src/env/",), "base/prng.h or env::Random"),
    (r"std::regex\b", (), "a hand-written scan, or RE2 in sql"),
    (r"sleep_for|sleep_until", ("src/env/",), "a timer or a waited-for condition"),
    (r"\b(TODO|FIXME|XXX)\b", (), "an issue"),
    (r"using namespace (?!drey::literals)[a-z:]+;.*", ("apps/", "bench/", "tests/", "include/drey/"), "names with their namespace"),
]

FORMATTER = "clang-format-14"

# Names of operator kinds stand where the kinds are declared, and in include/drey/kinds.h for the C++ API.
KIND_PAGE = "docs/reference/operators.md"
KIND_ROOMS = ("src/operators/", "connectors/", "include/drey/kinds.h")


def kinds_spelled(path, text, kinds):
    """Literals of a kind. A name of one plain word is one only where the line speaks of a kind or adds an operator."""
    if path.startswith(KIND_ROOMS):
        return []
    problems = []
    for number, line in enumerate(text.split("\n"), 1):
        for literal in re.findall(r'"([a-z.]+)"', re.sub(r"//.*", "", line)):
            if literal in kinds and ("." in literal or re.search(r"\bkind\b|\badd\(|same_rows\(", line)):
                problems.append(f'{path}:{number}: "{literal}" is a kind of operator: use its traits, or its name in drey/kinds.h')
    return problems


def tracked():
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [f for f in files if f and os.path.exists(os.path.join(ROOT, f))]


def misformatted(files):
    """Files that .clang-format would change. Another version would change others: only the one of Debian 12 is asked, where it is."""
    if shutil.which(FORMATTER) is None:
        print(f"tidy: the format is not checked, {FORMATTER} is missing; by hand: apt-get install {FORMATTER}")
        return []
    done = subprocess.run([FORMATTER, "--dry-run", *files], cwd=ROOT, capture_output=True, text=True, check=False)
    at = re.findall(r"^([^:\s]+):(\d+):\d+: warning: code should be clang-formatted", done.stderr, re.M)
    first = {path: line for path, line in reversed(at)}
    return [f"{path}:{line}: {FORMATTER} would format it otherwise: {FORMATTER} -i {path}" for path, line in sorted(first.items())]


def main():
    problems = []
    files = tracked()
    kinds = set(re.findall(r"^## (\S+)$", open(os.path.join(ROOT, KIND_PAGE), encoding="utf-8").read(), re.M))
    for path in files:
        if not path.endswith((".h", ".cc", ".md", ".sh", ".py", ".cmake", ".txt", ".json")):
            continue
        with open(os.path.join(ROOT, path), encoding="utf-8") as f:
            text = f.read()
        if path.endswith((".h", ".cc")):
            code = re.sub(r'"(\\.|[^"\\])*"', '""', re.sub(r"//[^\n]*", "", text))
            for pattern, allowed, instead in BANNED:
                found = re.search(pattern, text if "TODO" in pattern else code)
                if found and not path.startswith(allowed):
                    line = text.count("\n", 0, text.find(found.group())) + 1
                    problems.append(f"{path}:{line}: {found.group()[:40]}: use {instead}")
            problems += kinds_spelled(path, text, kinds)
        if path.endswith(".h") and not text.startswith(("//", "/*")):
            problems.append(f"{path}: a header opens with its contract")
        if path.endswith(".h") and not re.match(r"(//|/\*) ?\S[^.]*\.", text):
            problems.append(f"{path}: a header opens with a sentence")
        if path.startswith("tests/") and path.endswith(".py") and "time.sleep(" in text and path != "tests/e2e/cluster.py":
            problems.append(f"{path}: time.sleep: wait for what is waited for, with until() of tests/e2e/cluster.py")
        if path.endswith(".h") and not path.endswith("abi.h") and "#pragma once" not in text:
            problems.append(f"{path}: lacks #pragma once")
        if path.endswith(".md"):
            body = re.sub(r"```.*?```", "", text, flags=re.S)
            if len(re.findall(r"^# ", body, flags=re.M)) != 1:
                problems.append(f"{path}: one heading of the first level")
            for link in re.findall(r"\]\(([^)#]+)\)", body):
                if "://" not in link and not os.path.exists(os.path.join(ROOT, os.path.dirname(path), link)):
                    problems.append(f"{path}: the link {link} leads nowhere")
        if re.search(r"(?<![\w.])/(root|home)/[a-z]", text):
            problems.append(f"{path}: a path of somebody's machine")
    rooms = sorted({f.split("/")[1] for f in files if f.startswith("src/") and f.count("/") > 1})
    for room in rooms:
        readme = os.path.join(ROOT, "src", room, "README.md")
        if not os.path.exists(readme):
            problems.append(f"src/{room}: lacks a README.md")
        elif sum(1 for _ in open(readme, encoding="utf-8")) > 60:
            problems.append(f"src/{room}/README.md: longer than 60 lines")
    problems += misformatted([f for f in files if f.endswith((".h", ".cc"))])
    packages = [line.strip() for line in open(os.path.join(ROOT, "tools/packages.txt"), encoding="utf-8") if not line.startswith("#")]
    if packages != sorted(packages):
        problems.append("tools/packages.txt: not sorted")
    print("\n".join(problems) or f"tidy: {len(files)} files are fine")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
