"""What is measured: each workload is one scenario of loadtest and some figures of its report."""

from dataclasses import dataclass, replace

SERVER_CPU = 0
# Loader and server have a core each; Bun's queue of connects is 512 and cannot be longer.
COMMON = ["--server-cpus", str(SERVER_CPU), "--cpus", "1", "--threads", "1", "--connecting", "400"]


NAP = "1ms"
# A receiver's kernel acknowledges the first 16 segments at once (TCP_MAX_QUICKACKS), which costs the
# sender half as much again as its send, whoever sends: how long a run is would decide over ratios.
WARM_UP_WRITES = 20


def figure(name):
    """Reads a figure of a report."""

    def read(report):
        figures = [f for section in report["sections"] for f in section["figures"]]
        return next((f["value"] for f in figures if f["id"] == name), None)

    return read


def percentile(name, wanted):
    """Reads a percentile of a latency, in milliseconds."""

    def read(report):
        for latency in report["latencies"]:
            if latency["id"] == name:
                points = latency["percentiles"]
                return next(us / 1000 for percent, us in points if percent >= wanted)
        return None

    return read


@dataclass(frozen=True)
class Measure:
    """One value of a run, of which less is better."""

    name: str
    title: str
    read: object
    # The floor's figure that it is compared with, and how its middle and its lowest round are read.
    floor: str = ""
    of_floor: object = None


@dataclass(frozen=True)
class Workload:
    """One scenario."""

    name: str
    title: str
    scenario: tuple[str, ...]
    place: str
    measures: tuple[Measure, ...]
    # Whether clients send messages.
    sends: bool = True
    # What the floor is told to be measured alike.
    floor: tuple[str, ...] = ()
    # How many times the usual duration it takes; 0 is a scenario without one.
    times: int = 1
    # A figure that is shown beside the first measure, not compared.
    beside: tuple[str, object] = ()
    # Whether loader and server go before whatever else the machine does.
    is_urgent: bool = False
    # Whether something else wants the server's core as well.
    has_company: bool = False
    # Runs in a round, of which the one in the middle counts.
    runs: int = 1

    def arguments(self, seconds, rate=None):
        """What of loadtest's command line is the workload's."""
        arguments = [*self.scenario, *COMMON]
        if self.times:
            arguments += ["--duration", f"{self.times * seconds}s"]
        return arguments + (["--rate", str(rate)] if rate else [])


def cpu(title, floor=""):
    """CPU time of the server, and the same with what the kernel left to ksoftirqd of its core.

    A long system call such as a batch of io_uring leaves there what its caller would pay for
    otherwise: the second is what a core can do.
    """
    return (
        Measure("cpu_us", f"CPU of the server process per {title}, us",
                figure("server_cpu_us"), floor,
                lambda cost: (cost["median_us"] - cost["median_softirq_us"],
                              cost["lowest_us"] - cost["softirq_us"])),
        Measure("core_us", f"CPU of the server's core per {title}, ksoftirqd included, us",
                figure("server_core_us"), floor,
                lambda cost: (cost["median_us"], cost["lowest_us"])),
    )


def broadcast(name, title, burst, floor):
    # A loader that is faster than the server sleeps before each message, and to wake it is the
    # server's work; with naps it finds many, whichever server it is. The floor's readers nap alike:
    # one that is awake takes each message from the sender's cache, at half of the cost or not,
    # depending on who is faster at the moment.
    return Workload(
        name,
        f"5,000 subscribers, 100 B, {title}",
        ("broadcast", "-n", "5000", "--size", "100", "--burst", str(burst), "--nap", NAP,
         "--warm-up-writes", str(WARM_UP_WRITES)),
        "room",
        cpu("delivery", floor),
        floor=("--connections", "5000", "--size", "100", "--nap", NAP),
        beside=("sends", figure("segments_per_delivery")),
    )


def echo(name, connections, depth, size):
    return Workload(
        name,
        f"{connections:,} connections, {depth} in flight, {size:,} B, the server's core shared",
        ("echo", "-n", str(connections), "--depth", str(depth), "--size", str(size)),
        "echo",
        cpu("echo", "echo"),
        floor=("--connections", str(connections), "--depth", str(depth))
        + ("--echo-size", str(size)),
        beside=("echoes/s", figure("echo_rate")),
        has_company=True,
    )


def together(workload):
    """The same where all servers run at the same time, each the company of the others.

    What a core has for ksoftirqd is then nobody's, and the floor cannot be measured meanwhile.
    """
    measures = tuple(measure for measure in workload.measures if measure.name != "core_us")
    title = workload.title.replace(", the server's core shared", ", all servers at the same time")
    return replace(workload, title=title, measures=measures, floor=(), has_company=False)


ECHO_1 = echo("echo-1", 200, 1, 20)

ALL = [
    broadcast("broadcast", "the next when the last has the one before", 1, "single"),
    broadcast("chat8", "eight in one write, the next when the last has all", 8, "coalesced"),
    ECHO_1,
    echo("echo-16", 1000, 16, 125),
    echo("echo-16k", 64, 1, 16384),
    Workload(
        "connect",
        "10,000 connects flat out, handshakes included",
        ("connect", "-n", "10000", "--hold", "0"),
        "echo",
        (
            *cpu("connect"),
            Measure("idle_bytes", "resident bytes per idle connection, 3,333 to 10,000",
                    figure("server_rss_slope")),
        ),
        sends=False,
        times=0,
        beside=("connects/s", figure("connect_rate")),
    ),
    Workload(
        "last",
        "15,000 subscribers, 100 B, two publishes a second",
        ("broadcast", "-n", "15000", "--size", "100", "--rate", "2"),
        "room",
        (
            Measure("last_p50_ms", "ms to the last subscriber, median",
                    percentile("last_latency", 50)),
            Measure("last_p99_ms", "ms to the last subscriber, p99",
                    percentile("last_latency", 99)),
        ),
        times=2,
        beside=("sends", figure("segments_per_delivery")),
    ),
    Workload(
        "p999",
        "echo, 200 connections, 20 B, open loop at one rate for all, 20 at a time",
        # In bursts, or to sleep and wake for each message would be all that the loader does.
        ("echo", "-n", "200", "--size", "20", "--burst", "20"),
        "echo",
        (Measure("echo_p999_ms", "ms to the echo, p99.9", percentile("echo_latency", 99.9)),),
        beside=("echoes/s", figure("echo_rate")),
        # Whatever takes 3 ms of a run of 2 s decides this percentile: another process, or a host
        # that stands still, which it seldom does in two runs of three.
        is_urgent=True,
        runs=3,
    ),
]
