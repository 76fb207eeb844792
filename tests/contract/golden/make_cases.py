#!/usr/bin/env python3
"""Makes cases-VERSION.jsonl from recordings of a real Flink: what was asked, and the shape of the answer.

    make_cases.py RECORDINGS     RECORDINGS holds flink-2/cases, flink-1.12/cases and flink-1.12/cases-1.11.4

Recorded ids become names ({job.running}, {v0}, {tm}), so that they can be replayed. The recordings themselves are not in
this repository: they were made with Flink 2.3.0 (commit c0f8d1a), 1.12.5 (bfd0f20) and 1.11.4 (1d7d542) on loopback.
"""
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

# Alike in 1.12 and 1.11. One job was asked about in several states; here there is one for each: (cases, recorded role, role).
OLD = {
    "vertices": ["f362c87ffabe89c8a91fa7d0a523ba6c", "31b9a9b9c5ff47b281ea16144a319f72", "b6fcf37e9ee92fdac90c4858d6711e50"],
    "renamed": [(r"job-restarting.*", "failed", "restarting"), (r"job-restarted.*|attempt-[01].*", "failed", "healed"),
                (r"cli-run-.*-[23]", r"cli.*", "running")],
}

# What the recorded ids were. Jobs by what had become of them; savepoints by the job they are of.
VERSIONS = {
    "2.3": {
        "folder": "flink-2/cases",
        "jobs": {
            "54b04678671878d049a67a90d639fc2c": "running", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": "finished",
            "51d86df30e004a4a2dffbc62897cce14": "failed", "886da68e08b3b116b21405aeed69a1dd": "canceled",
            "21fa88329a333bb720e81d3633496b67": "stopped", "3362289ecf1fdb2f48276d73988fd5d3": "plain",
            "fff377115a33ac4810c0b9b35540c234": "restored", "184d18db6180df252628f9c5b9eb17a8": "slow",
            "d1751cd4f843fd2d98f55edbed8897bf": "restarted", "df39134893f1415579789a045cc5f806": "waiting",
            "a7e2333da0c8fc284cd4c3f31a03df0f": "default-restart", "b81114168fe8582e3976b6dcb1eb7671": "restarting",
            "9f026b316df1f073bc6d3cde762dbad7": "batch", "42d9d388e49fe087d8ddc5c81fd7f8af": "with-savepoint",
            "ed799c9786cf52c2ea0c0b9347c85be4": "body-wins", "2d0329f6f63eadb6f7bcc8ba751e3894": "heartbeat",
            "02a5849d319fcf847ac8f41f1b5e0389": "fails-often", "eace4ce32be78b7fc2bd812c31a3d23e": "wordcount",
            "873a28750f16199ce25df347427e776c": "drained", "9a64cfec4f3a0d6f29c69d19f894cb38": "both-modes",
            "10951801fa61c647861233f1f3bf35e0": "by-dashboard", "623c198d32c501ae84de2b1b0cd52a49": "secrets",
            "d353e04f3a1dbff5c9249c3d4c2e7463": "statemachine", "2599cc3a5cc32430d177f0e6b18d4b85": "skewed",
            "1a235640abe24ea71a90e4935ef765a6": "adaptive", "5a4e57b0724f48bffe3396a9116e421e": "lost-tm",
            "c5f9c8a11190a37d824552a21e5390a0": "adaptive-failed", "775ea9f01595a1f766fa8e36948558c5": "running",
            "b7f9c5b36518ea3e8b96c85de2185edb": "running", "cccccccccccccccccccccccccccccccc": "chosen",
        },
        "vertices": ["f362c87ffabe89c8a91fa7d0a523ba6c", "b71731f1c0df9c3076c4a455334d0ad6", "fcdde284471d4d657fee885d2c23ac87"],
        "tms": ["127.0.0.1:46531-8053fd", "127.0.0.1:34517-e3d376", "127.0.0.1:43165-8b0b90"],
        "checkpoints": {("running", 125): "completed", ("stopped", 12): "failed", ("stopped", 15): "savepoint", ("slow", 1): "pending",
                        ("plain", 1): "completed"},
        "uuids": {"6c9291903eec875df4f85b358897fce8": "rescale"},
    },
    "1.12": {
        "folder": "flink-1.12/cases",
        "jobs": {
            "b865795922237dfd3b93eac6aff1afbd": "running", "4884f4bf8f3a94bdd52dbb591221400d": "failed",
            "a5bec926dfd22a0076d60bfea2442162": "canceled", "eaf791fdc69b97b523ad0ca0bd1d74af": "finished",
            "a8fc3857258132129cb8956d29cab941": "stopped", "4e0c81bfbf7bd33390afb898c64a5c2b": "waiting",
            "95388129239c6523bb29069d77d34f76": "restored", "8d1cc36276f8346b47e0349d741ff8fb": "drained",
            "5bfcfafc053cc366a631099547f776f1": "slow", "6b5b992200aa34296b6ed260dbf230d7": "dataset",
            "f6d0b5cea463f5126beb16dedbe78995": "batch", "ecb4109d5d72d6b04628f39978e62b3b": "dataset-failed",
            "d123c9fa1a45ff53d38d58b2cfe758cb": "batch-failed", "36d2c60ab6b3bf92af0e20be50ac452a": "backpressured",
            "a94ca4ac43e5b9b9b9c1e7bc7dc6f736": "unchecked", "7ec61752f39a873619f14fcbc7cfb9f3": "checkpoints-failing",
            "616f2ea8f5212819604513aa4dc5edfd": "no-tm", "552748cd35a908be40a421c76fd1fe25": "canceled-2",
            "90c58ac4ea822c2a614a55465da20548": "canceled-3", "f9bbaf3c9cea6a708b5fb7b2fbd9b76c": "initializing",
            "d0b0e824a546bd3ac2a636fd40d0f21a": "cli", "19812d2d6aa2e5bf391c0ee0d4c5a493": "cli-failed",
            "d16af6d10df7787eed12f6d87c0a1fb5": "cli-2", "ffb618dc5367025cd3dc733de030e3ba": "cli-3",
            "46aceed7bfcabb99c181ca7839c81b7c": "cli-attached", "204a7bad08ffcad49acad516344ba4c4": "cli-4",
        },
        **OLD,
        "tms": ["127.0.0.1:19122-6d3d86"],
        "checkpoints": {("running", 8): "completed", ("running", 157): "savepoint", ("slow", 3): "pending"},
        "uuids": {},
    },
    "1.11": {
        "folder": "flink-1.12/cases-1.11.4",
        "jobs": {
            "eb8b27b23ae0c6c3bffb12ab50644f89": "running", "fd909cea692a44a845fa1953927b8d71": "failed",
            "ad092d85cda09cb00d0afdc44a0a5a37": "canceled", "840b46c2e37023d3630b1ae15f40e613": "finished",
            "efffb766e16bbc081a5762ffc2697a7f": "stopped", "7d7511aeb2e2c64bb9e23c083d6a5ce4": "waiting",
            "4480112abc553540e14948610333b84c": "restored", "421b250590d0453a4172ceebcbe73802": "drained",
            "872d960ac5b91830709e36fe287f5419": "slow", "0919d5cf3193c07dfbb2d7c72a9d38a9": "dataset",
            "db50be0521ca42a5cd6233be70c64be1": "backpressured", "bd7def11e78450976201f983e8de5c82": "unchecked",
            "316d931bd0bf9a36f07c23775c1ad65d": "canceled-2", "8cb2c6680884bed21c87c71e024ab9e2": "canceled-3",
        },
        **OLD,
        "tms": ["a257bea07d8a199e68858b2ac427dd99"],
        "checkpoints": {("running", 7): "completed", ("running", 103): "savepoint", ("slow", 2): "pending"},
        "uuids": {},
    },
}

# Objects whose keys are data; what they hold is merged.
MAPS = {"user-config", "accumulator-results", "failureLabels", "serialized-user-task-accumulators", "extendedResources", "jobs", "vertices", "slots"}
# Texts that clients switch on: the recorded values are part of the shape.
EXACT = {"state", "status", "className", "@class", "checkpoint_type", "application-status", "job-type", "jobType", "schedulerType",
         "savepointFormat", "ship_strategy", "exchange", "mode", "restart-strategy", "terminalState", "state_backend", "checkpoint_storage",
         "flink-version", "schedulerExecutionMode"}
# Lists of whatever else is there: the states in them say nothing.
LISTS = {"jobs", "applications", "profilingList"}


def merge(a, b):
    """The shape of what has the shape a or b."""
    if a is None or a == b:
        return b
    if b is None:
        return a
    if isinstance(a, dict) and isinstance(b, dict):
        if "=ids" in a and "=ids" in b:
            return {"=ids": sorted(set(a["=ids"]) | set(b["=ids"])), "=of": merge(a["=of"], b["=of"])}
        if "*" in a and "*" in b:
            inner = merge(a["*"], b["*"])
            return {"*": inner} if (a["*"] is None) == (b["*"] is None) and len(a) == len(b) == 1 else {"*": inner, "0": 0}
        out = {}
        strip = lambda o: {k.rstrip("?"): (v, k.endswith("?")) for k, v in o.items()}
        x, y = strip(a), strip(b)
        order = list(x)
        for i, k in enumerate(y):  # a key that x lacks comes behind the one before it in y
            if k not in x:
                before = list(y)[i - 1] if i else None
                order.insert(order.index(before) + 1 if before in order else 0, k)
        for k in order:
            optional = k not in x or k not in y or x[k][1] or y[k][1]
            out[k + ("?" if optional and k != "*" else "")] = merge(x.get(k, (None,))[0], y.get(k, (None,))[0])
        return out
    if isinstance(a, list) and isinstance(b, list):
        # [shape]; [shape, 0]: may be empty; []: empty.
        inner = merge(a[0] if a else None, b[0] if b else None)
        return [] if inner is None else [inner] if len(a) == len(b) == 1 else [inner, 0]
    kinds = lambda s: s.split("|") if isinstance(s, str) else [s]
    if isinstance(a, str) and isinstance(b, str):
        return "|".join(dict.fromkeys([*kinds(a), *kinds(b)]))
    # An object or array here, something else there: {"=any": [...]}.
    alternatives = lambda s: s["=any"] if isinstance(s, dict) and "=any" in s else [s]
    return {"=any": [*alternatives(a), *(x for x in alternatives(b) if x not in alternatives(a))]}


def shape(value, key=None, parent=None, listed=False):
    if value is None:
        return "n"
    if isinstance(value, bool):
        return "b"
    if isinstance(value, int):
        return "i"
    if isinstance(value, float):
        return "d"
    if isinstance(value, str):
        if value == "NaN":
            return "=NaN"
        if (key in EXACT and not (parent in LISTS and key in ("state", "status"))) or (key == "id" and parent == "status"):
            return "=" + value
        return "s"
    if isinstance(value, list):
        if value and all(isinstance(x, dict) and isinstance(x.get("id"), str) and set(x) <= {"id", "value", "min", "max", "avg", "sum", "skew"}
                         for x in value):
            merged = None
            for x in value:
                merged = merge(merged, {k: shape(v) for k, v in x.items()})
            return {"=ids": sorted({x["id"] for x in value}), "=of": merged}
        merged = None
        for x in value:
            merged = merge(merged, shape(x, key, parent, True))
        return [merged] if value else []
    if (key in MAPS and not listed) or (value and all(re.fullmatch("[0-9a-f]{32}", k) for k in value)):
        merged = None
        for x in value.values():
            merged = merge(merged, shape(x))
        return {"*": merged}
    return {k: shape(v, k, key) for k, v in value.items()}


class Converter:
    def __init__(self, version, recordings):
        self.version, self.table = version, VERSIONS[version]
        self.cases = []
        self.triggers = {}
        self.jars = {}
        self.names = {}
        folder = os.path.join(recordings, self.table["folder"])
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), encoding="utf-8") as f:
                case = json.load(f)
            case["name"] = name[:-5]
            if "request" not in case or case["response"].get("status") is None:
                continue  # a summary, or no answer at all
            for part in (case["request"], case["response"]):
                if isinstance(part.get("headers"), dict):
                    part["headers"] = list(part["headers"].items())
            self.cases.append(case)
        for case in self.cases:
            body = case["response"].get("body")
            if isinstance(body, dict) and isinstance(body.get("request-id"), str):
                self.triggers.setdefault(body["request-id"], case["name"])

    def jar(self, match):
        known = self.jars.setdefault(match[2], [])
        if match[1] not in known:
            known.append(match[1])
        number = known.index(match[1])
        return "{jar." + match[2] + (f"#{number + 1}" if number else "") + "}"

    def symbols(self, text, job=None, chosen=False):
        """The text with names for what differs from run to run."""
        def named(match):
            word = match[0].lower()
            if chosen and len(set(word)) == 1:
                return match[0]  # an id that the client chose
            if word in self.table["jobs"]:
                return ("{job." if match[0] == word else "{JOB.") + self.table["jobs"][word] + "}"
            if word in self.table["vertices"]:
                return "{v%d}" % self.table["vertices"].index(word)
            if word in self.table["uuids"]:
                return "{" + self.table["uuids"][word] + "}"
            if word in self.triggers and len(set(word)) > 2 and word != "0123456789abcdef" * 2:
                return ("{TRIGGER." if match[0] != word else "{trigger.") + self.triggers[word] + "}"
            return match[0]
        text = re.sub(r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})_([A-Za-z0-9_. -]*?\.jar)", self.jar, text)
        for i, tm in enumerate(self.table["tms"]):
            for colon in (":", "%3A", "%253A"):
                text = text.replace(tm.replace(":", colon), "{tm%s}" % colon.rstrip(":"))
        text = re.sub(r"(?:file:/*)?\$FLINK/[a-z0-9/]*savepoint-([0-9a-f]{6}-[0-9a-f]{12})", r"{savepoint.\1}", text)
        text = re.sub(r"\b[0-9a-fA-F]{32}\b", named, text)
        text = re.sub(r"flink-(?:user-standalonesession-0|root-standalonesession-0-\$HOST)", "{jobmanager}", text)
        text = text.replace("flink-user-taskexecutor-0", "{taskmanager}")
        text = re.sub(r"JobManager_ITIMER_[0-9_-]+\.html", "{profile}", text)
        if job is not None:
            text = re.sub(r"/checkpoints/details/(\d+)(?=/|$)", lambda m: "/checkpoints/details/" + self.checkpoint(job, int(m[1])), text)
        return text

    def asked(self, case, path):
        """A trigger id in a path whose trigger was not recorded: {asked.KIND.NAME}."""
        def named(match):
            if match[0].endswith(("0" * 32,)) or "{" in match[2]:
                return match[0]
            kind = "stop" if case.startswith("stop-") or match[2] == "cd" * 16 else match[1].split("/")[-2]
            return f"{match[1]}{{asked.{kind}.{match[2]}}}"
        return re.sub(r"^((?:/v1)?(?:/jobs/[^/]*)?/(?:savepoints|checkpoints|savepoint-disposal)/)([0-9a-f]{32})$", named, path)

    def checkpoint(self, job, number):
        kind = self.table["checkpoints"].get((job, number))
        return "{checkpoint.%s}" % kind if kind else str(number)

    def answer_text(self, text):
        """The first line of an error; paths of the recording machine are {path}."""
        text = self.symbols(text.split("\n")[0])
        text = re.sub(r"(?:file:/*)?\$(?:FLINK|TMP)[^\s'\",)]*", "{path}", text)
        return re.sub(r"@[0-9a-f]{1,8}\b", "@{hash}", text)

    def convert(self, case):
        request, response = case["request"], case["response"]
        out = {"name": case["name"]}
        if "raw" in request:
            out["raw"] = request["raw"]
        else:
            roles = [self.table["jobs"].get(j.lower()) for j in re.findall(r"/jobs/([0-9a-fA-F]{32})", request["path"])]
            out["method"], out["path"] = request["method"], self.symbols(request["path"], roles[0] if roles else None)
            if response["status"] == 200 and len(roles) < 2:
                out["path"] = self.asked(case["name"], out["path"])
            for names, was, role in self.table.get("renamed", ()):
                if re.fullmatch(names, case["name"]):
                    out["path"] = re.sub(r"\{job\.%s\}" % was, "{job.%s}" % role, out["path"])
        if request.get("version"):
            out["version"] = request["version"]
        headers = [[k, v] for k, v in request.get("headers", [])]
        plain = [k for k, _ in headers]
        keep = [[k, v] for k, v in headers if k.lower() not in ("host", "content-length") and not re.fullmatch(r"X-\d+", k)]
        if len(plain) - len(keep) > 50:
            keep.append(["X-*", "100"])
        if keep:
            out["headers"] = keep
        body = request.get("bodyText", request.get("body"))
        if isinstance(body, dict) and "multipart" in body:
            out["multipart"] = [self.part(p) for p in body["multipart"]]
            if "note" in body:
                out["cut"] = True
        elif body is not None:
            text = body if isinstance(body, str) else json.dumps(body)
            out["body"] = self.symbols(text, chosen=True).replace("$FLINK", "{dir}")
        out["status"] = response["status"]
        kind = dict((k.lower(), v) for k, v in response.get("headers", []))
        if kind.get("content-type"):
            out["type"] = kind["content-type"]
        out["cors"] = "access-control-allow-origin" in kind
        answer = response.get("body")
        if isinstance(answer, dict) and list(answer) == ["errors"]:
            errors = answer["errors"]
            out["error"] = [self.answer_text(e if i == 0 else re.sub(r"^<Exception on server side:\n", "", e)) for i, e in enumerate(errors)]
        elif isinstance(answer, (dict, list)) and not case["name"].startswith("http-static"):
            out["shape"] = shape(answer)
            binds = {k: self.symbols(v) for k, v in self.new_names(answer) if self.symbols(v) != v}
            if binds:
                out["binds"] = binds
        for key in ("context", "note", "cluster"):
            if case.get(key):
                out[key] = case[key]
        return out

    @staticmethod
    def new_names(answer):
        """What an answer tells that later requests refer to."""
        if not isinstance(answer, dict):
            return
        for key in ("request-id", "jobid", "filename"):
            if isinstance(answer.get(key), str):
                yield key, os.path.basename(answer[key])
        operation = answer.get("operation")
        if isinstance(operation, dict) and isinstance(operation.get("location"), str):
            yield "location", operation["location"]

    def part(self, p):
        if "headers" not in p:  # the form of 1.12
            disposition = f'form-data; name="{p["name"]}"' + (f'; filename="{p["filename"]}"' if p.get("filename") is not None else "")
            p = {"headers": [["Content-Disposition", disposition], *([["Content-Type", p["contentType"]]] if p.get("contentType") else [])],
                 "text": p.get("content", "")}
            if re.fullmatch(r"<\d+ bytes>", p["text"]):
                p["bytes"] = int(p["text"][1:-7])
                del p["text"]
        out = {"headers": [[k, v.replace("$FLINK", "/flink")] for k, v in p["headers"]]}
        if "text" in p:
            out["text"] = p["text"]
        else:
            out["bytes"] = p["bytes"]
        return out


def main():
    recordings = sys.argv[1]
    for version in VERSIONS:
        converter = Converter(version, recordings)
        shapes, lines = {}, []
        for case in converter.cases:
            made = converter.convert(case)
            if "shape" in made:
                text = json.dumps(made["shape"], separators=(",", ":"))
                made["shape"] = shapes.setdefault(text, len(shapes))
            lines.append(json.dumps(made, separators=(",", ":"), ensure_ascii=False))
        path = os.path.join(HERE, f"cases-{version}.jsonl")
        with open(path, "w", encoding="utf-8") as f:
            f.write('{"shapes":[\n' + ",\n".join(shapes) + "\n]}\n")
            f.write("\n".join(lines) + "\n")
        print(f"{path}: {len(lines)} cases, {len(shapes)} shapes, {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
