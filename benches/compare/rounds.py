"""Runs loadtest: every round measures every server and the floor."""

import json
import math
import shlex
import socket
import subprocess
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

import company
import urgent
from servers import LOADTEST
from workloads import ECHO_1, SERVER_CPU, figure

# No run takes nearly that long unless it stands still.
TIMEOUT_S = 300
FLOOR_ROUNDS = 5
# A rate that nobody needs all of its core for.
SHARE_OF_MAXIMUM = 0.5


class Failure(Exception):
    """A run without a report."""


class Results:
    """All values of all rounds, and what went wrong."""

    def __init__(self):
        # Workload, then server, then measure: the values of the rounds.
        self.values = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        # Workload, then measure, then backend: the middle and the lowest of each round.
        self.floors = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        # Nanoseconds of an access to memory, before each floor.
        self.memory = []
        self.problems = []
        self.rate = None

    def note(self, workload, server, text):
        line = f"{workload}, {server}: {text}"
        if line not in self.problems:
            self.problems.append(line)


def free_ports(count):
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def end_in_time(command):
    """Runs a command, and has one that takes too long end what it has started."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        try:
            out, err = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.communicate(timeout=TIMEOUT_S)
            raise
        return subprocess.CompletedProcess(command, process.returncode, out, err)


def loadtest(arguments, before=()):
    """What loadtest has measured. It fails where something was lost, too, with a report."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        command = [*before, str(LOADTEST), *arguments, "--json", str(path)]
        run = end_in_time(command)
        if not path.exists():
            lines = run.stderr.strip().splitlines() or [f"status {run.returncode}"]
            raise Failure(f"{lines[-1]} (of {shlex.join(command[:-2])})")
        return json.loads(path.read_text())


def meanwhile(workload):
    """What else is to run meanwhile."""
    return company.on(SERVER_CPU, TIMEOUT_S) if workload.has_company else nullcontext()


def measure_floor(results, workload):
    """What each backend's calls cost, by the figure that each measure is compared with."""
    with meanwhile(workload):
        report = loadtest(["floor", *workload.floor, "--rounds", str(FLOOR_ROUNDS)])
    results.memory.append(report["memory_ns"])
    for wanted in workload.measures:
        for backend in ("epoll", "io_uring"):
            if report[backend]:
                both = wanted.of_floor(report[backend][wanted.floor])
                results.floors[workload.name][wanted.name][backend].append(both)


def measure(server, workload, seconds, rate=None, port=None):
    """A report of one server under one workload."""
    arguments = workload.arguments(seconds, rate)
    arguments += server.arguments(workload.place, port or free_ports(1)[0], workload.sends)
    with meanwhile(workload):
        return loadtest(arguments, urgent.prefix() if workload.is_urgent else ())


def note_problems(results, server, workload, report):
    for problem in report["problems"]:
        results.note(workload.name, server.name, problem)


def measure_round(results, server, workload, seconds, rate):
    """The report in the middle of as many as the workload wants in a round."""
    reports = [measure(server, workload, seconds, rate) for _ in range(workload.runs)]
    for report in reports:
        note_problems(results, server, workload, report)
    read = workload.measures[0].read
    reports.sort(key=lambda report: math.inf if read(report) is None else read(report))
    return reports[len(reports) // 2]


def keep(results, server, workload, report):
    """Puts the values of a report where they belong; says them in one line."""
    values = results.values[workload.name][server.name]
    said = []
    for wanted in workload.measures:
        value = wanted.read(report)
        if value is None:
            results.note(workload.name, server.name, f"no {wanted.title}")
            continue
        values[wanted.name].append(value)
        said.append(f"{value:.4g}")
    if workload.beside:
        value = workload.beside[1](report)
        values["beside"] += [] if value is None else [value]
    if report["is_loader_bound"]:
        values["loader_bound"].append(1)
    return " ".join(said)


def find_rate(results, servers, seconds):
    """Half of the rate that the slowest of throng and of the best peer reaches in a closed loop."""
    alone, most = replace(ECHO_1, has_company=False), {}
    for server in servers:
        try:
            most[server.name] = figure("echo_rate")(measure(server, alone, seconds)) or 0
        except (Failure, subprocess.SubprocessError) as failure:
            results.note(ECHO_1.name, server.name, str(failure))
    ours = [rate for name, rate in most.items() if name.startswith("throng ")]
    peers = [rate for name, rate in most.items() if not name.startswith("throng ")]
    slowest = ours + ([max(peers)] if peers else [])
    if not slowest:
        raise Failure("no server could be measured, so no rate is known")
    return int(SHARE_OF_MAXIMUM * min(slowest))


def run_workload(results, servers, workload, options):
    """One round of one workload."""
    rate = None
    if workload.name == "p999":
        try:
            results.rate = results.rate or find_rate(results, servers, options.seconds)
        except Failure as failure:
            return results.note(workload.name, "all servers", str(failure))
        rate = results.rate
    if workload.floor:
        try:
            measure_floor(results, workload)
        except (Failure, subprocess.SubprocessError) as failure:
            results.note(workload.name, "the floor", str(failure))
    for server in servers:
        tell(results, server, workload,
             lambda: measure_round(results, server, workload, options.seconds, rate))


def run_together(results, servers, workload, options):
    """One round of one workload, all servers at the same time."""
    ports = free_ports(len(servers))
    with ThreadPoolExecutor(len(servers)) as pool:
        runs = [pool.submit(measure, server, workload, options.seconds, None, port)
                for server, port in zip(servers, ports)]
    for server, run_of_one in zip(servers, runs):
        tell(results, server, workload,
             lambda: of_many(results, server, workload, run_of_one.result()))


def of_many(results, server, workload, report):
    """All loaders share a core, so that each is bound, and none by its server."""
    note_problems(results, server, workload, report)
    return report | {"is_loader_bound": False}


def tell(results, server, workload, report_of):
    """Keeps a report, or what has failed, and says which."""
    try:
        said = keep(results, server, workload, report_of())
    except (Failure, subprocess.SubprocessError) as failure:
        said = f"failed: {failure}"
        results.note(workload.name, server.name, str(failure))
    print(f"  {workload.name}, {server.name}: {said}", file=sys.stderr, flush=True)


def run(servers, workloads, options):
    """All rounds."""
    results = Results()
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
        # Nobody is always the first behind the floor.
        turn = number % len(servers)
        order = servers[turn:] + servers[:turn]
        for workload in workloads:
            run_one = run_together if options.together else run_workload
            run_one(results, order, workload, options)
    return results
