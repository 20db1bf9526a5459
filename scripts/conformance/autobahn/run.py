#!/usr/bin/env python3
"""Run Autobahn's fuzzing client against one echo server.

The cases run in chunks, one suite process each, so that a crash of the suite loses one chunk's
results only and two processors are of use. Each case that is not fine is told in a line; the last
lines are the counts by verdict and 'N passed, N failed'. The reports, one JSON and one HTML file a
case, go into the --reports folder.

Exit status: 0 when every case behaved and closed as it should (NON-STRICT and INFORMATIONAL are
fine), 1 when not, 2 when the suite could not run.
"""

import argparse
import collections
import dataclasses
import fnmatch
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ALL_CASES = 517
AGENT = "throng"
FINE = {"OK", "NON-STRICT", "INFORMATIONAL"}
FINE_CLOSE = {"OK", "INFORMATIONAL"}
# The suite spends its time on these groups, so they start first; the numbers only set the order.
SLOWNESS = {"12": 5, "13": 4, "9": 3, "5": 2}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=("wstest", "kosoku"), required=True)
    parser.add_argument("--python", required=True, help="the interpreter that has the engine")
    parser.add_argument("--url", required=True, help="ws://127.0.0.1:PORT/PATH")
    parser.add_argument("--cases", default="*", help="ids or patterns, with commas between")
    parser.add_argument("--reports", type=pathlib.Path, required=True, help="emptied at the start")
    parser.add_argument("--time-limit", type=float, default=3000, help="seconds for the whole run")
    return parser.parse_args()


def fail_to_run(message):
    print(f"autobahn: {message}", file=sys.stderr)
    sys.exit(2)


def numeric(case_id):
    return [int(part) for part in case_id.split(".")]


def list_cases(engine, python):
    """The suite's own list, id to description."""
    script = {"wstest": ["wstest_cases.py"], "kosoku": ["kosoku_engine.py", "list"]}[engine]
    command = [python, "-W", "ignore", HERE / script[0], *script[1:]]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        fail_to_run(f"cannot list the cases; delete the environment of {python} and try again:\n"
                    f"{listed.stderr[-2000:]}")
    cases = json.loads(listed.stdout.splitlines()[-1])
    if len(cases) != ALL_CASES:
        fail_to_run(f"{engine} knows {len(cases)} cases instead of {ALL_CASES}; "
                    f"delete the environment of {python} and try again")
    return cases


def select(patterns, known):
    """The known ids that match the comma-separated patterns, in the suite's order."""
    chosen = set()
    for pattern in patterns.split(","):
        matches = fnmatch.filter(known, pattern)
        if not matches:
            fail_to_run(f"no case matches {pattern!r}: give ids or patterns such as 1.1.1 or 9.*")
        chosen.update(matches)
    return sorted(chosen, key=numeric)


@dataclasses.dataclass
class Chunk:
    """Cases that one suite process runs, one after the other."""

    group: str
    cases: list
    folder: pathlib.Path = None
    process: subprocess.Popen = None
    started: float = 0.0

    def start(self, arguments, folder):
        self.folder = folder
        self.folder.mkdir()
        spec = folder / "spec.json"
        spec.write_text(json.dumps({
            "outdir": str(folder / "reports"),
            "servers": [{"agent": AGENT, "url": arguments.url}],
            "cases": self.cases,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }), encoding="utf-8")
        command = [arguments.python, "-u", "-W", "ignore"]
        if arguments.engine == "wstest":
            command += ["-m", "autobahntestsuite.wstest", "-m", "fuzzingclient", "-s", spec]
        else:
            command += [HERE / "kosoku_engine.py", "run", spec]
        self.started = time.monotonic()
        with open(folder / "log.txt", "wb") as log:
            # A session of its own: Ctrl-C reaches this script alone, which then stops the suite.
            self.process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True)

    def running(self):
        return self.process.poll() is None

    def stop(self):
        if self.running():
            self.process.kill()
            self.process.wait()

    def results(self):
        """Id to verdict, of the cases the suite has reported."""
        index = self.folder / "reports" / "index.json"
        if not index.exists():
            return {}
        # By server name, of which there is one, or none if it could never be reached. kosoku does
        # not take the name from the specification.
        by_server = json.loads(index.read_text(encoding="utf-8"))
        return dict(item for verdicts in by_server.values() for item in verdicts.items())

    def last_words(self):
        log = (self.folder / "log.txt").read_text(encoding="utf-8", errors="replace")
        return " | ".join(log.strip().splitlines()[-3:])


def split_into_chunks(cases):
    """Chunks by group, and by subgroup where a group takes long; the slow ones first."""
    def group(case_id):
        parts = case_id.split(".")
        return ".".join(parts[: 2 if parts[0] in ("9", "12", "13") else 1])

    chunks = [Chunk(name, list(members)) for name, members in itertools.groupby(cases, group)]
    chunks.sort(key=lambda chunk: -SLOWNESS.get(chunk.group.split(".")[0], 0))
    return chunks


def run_chunks(chunks, arguments):
    """Run all chunks, as many at once as there are processors; stops them when told to stop."""
    at_once = min(4, len(os.sched_getaffinity(0)))
    deadline = time.monotonic() + arguments.time_limit
    waiting, running = list(chunks), []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                chunk = waiting.pop(0)
                chunk.start(arguments, arguments.reports / f"group-{chunk.group}")
                running.append(chunk)
            time.sleep(0.05)
            if time.monotonic() > deadline:
                fail_to_run(f"gave up after {arguments.time_limit:g} s with group(s) "
                            f"{', '.join(chunk.group for chunk in running)} under way")
            for chunk in [chunk for chunk in running if not chunk.running()]:
                running.remove(chunk)
                print(f"autobahn:   group {chunk.group:<5} {len(chunk.cases):3} cases "
                      f"{time.monotonic() - chunk.started:6.1f} s", flush=True)
    finally:
        for chunk in running:
            chunk.stop()


def is_fine(verdict):
    return verdict["behavior"] in FINE and verdict["behaviorClose"] in FINE_CLOSE


def explanation(report):
    """The suite's own words on a case, from its JSON report."""
    try:
        details = json.loads(report.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return f" | {details.get('result', '')} / {details.get('resultClose', '')}"[:300]


def tell_case(case_id, verdict, description, report):
    fine = is_fine(verdict)
    if fine and verdict["behavior"] != "NON-STRICT":
        return
    print(f"{'note' if fine else 'FAIL'} {case_id} behaviour {verdict['behavior']}, "
          f"close {verdict['behaviorClose']}, close code {verdict['remoteCloseCode']}: "
          f"{description[:100]}{'' if fine else explanation(report)}")


def summarise(chunks, descriptions):
    """Print what is worth telling and the counts; returns the number of failed cases."""
    behaviour, close, failed = collections.Counter(), collections.Counter(), 0
    for chunk in sorted(chunks, key=lambda chunk: numeric(chunk.group)):
        results = chunk.results()
        missing = [case_id for case_id in chunk.cases if case_id not in results]
        behaviour["MISSING"] += len(missing)
        failed += len(missing)
        if missing:
            print(f"FAIL {missing[0]} and on: {len(missing)} cases of group {chunk.group} have no "
                  f"result, the suite ended with status {chunk.process.returncode}: "
                  f"{chunk.last_words()}")
        for case_id, verdict in sorted(results.items(), key=lambda item: numeric(item[0])):
            behaviour[verdict["behavior"]] += 1
            close[verdict["behaviorClose"]] += 1
            failed += not is_fine(verdict)
            tell_case(case_id, verdict, descriptions[case_id],
                      chunk.folder / "reports" / verdict["reportfile"])
    for what, counter in (("behaviour", behaviour), ("close", close)):
        counts = [f"{count} {verdict}" for verdict, count in counter.most_common() if count]
        print(f"autobahn: {what}: {', '.join(counts) or 'none'}")
    print(f"{behaviour.total() - failed} passed, {failed} failed")
    return failed


def main():
    arguments = parse_arguments()
    arguments.reports = arguments.reports.resolve()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    descriptions = list_cases(arguments.engine, arguments.python)
    cases = select(arguments.cases, descriptions)
    shutil.rmtree(arguments.reports, ignore_errors=True)
    arguments.reports.mkdir(parents=True)
    print(f"autobahn: {len(cases)} cases, engine {arguments.engine}, {arguments.url}", flush=True)
    chunks = split_into_chunks(cases)
    run_chunks(chunks, arguments)
    print(f"autobahn: reports in {arguments.reports}")
    sys.exit(1 if summarise(chunks, descriptions) else 0)


if __name__ == "__main__":
    main()
