"""Medians as text, with ratios to throng on each backend and to the floor."""

from statistics import median

import urgent

BACKENDS = ("io_uring", "epoll")
NAME_COLUMNS = 20


def render(results, servers, workloads):
    """One block for each workload and measure."""
    blocks = []
    for workload in workloads:
        for measure in workload.measures:
            blocks.append(block(results, servers, workload, measure))
    if results.memory:
        blocks.append(host(results.memory))
    if results.problems:
        blocks.append("\n".join(["What went wrong", *(f"  {line}" for line in results.problems)]))
    return "\n\n".join(blocks)


def host(memory):
    """Whether this machine had a cache of its own; the last one is shared with the neighbours."""
    spread = f"median {median(memory):.0f}, {min(memory):.0f} to {max(memory):.0f}"
    return (f"memory, at random within 4 MiB: {spread} ns an access\n"
            "  10 to 30 on a host at rest; beyond, others use its cache up, and all that touches many\n"
            "  sockets costs more, servers more than the floor")


def block(results, servers, workload, measure):
    """One measure of all servers."""
    rows = {server.name: results.values[workload.name][server.name] for server in servers}
    ours = {name: middle(rows.get(f"throng {name}", {}), measure.name) for name in BACKENDS}
    is_first = measure is workload.measures[0]
    beside = workload.beside[0] if workload.beside and is_first else ""
    heads = ["median", "lowest", "highest", *(f"x {name}" for name in BACKENDS)]
    heads += ["x floor", "x floor low"] if measure.floor else []
    heads += [beside] if beside else []
    title = f"{workload.name}: {workload.title}"
    if results.rate and workload.name == "p999":
        title += f", {results.rate:,}/s"
    if workload.is_urgent:
        title += ", real-time priority" if urgent.is_allowed() else ", no real-time priority"
    lines = [title, f"  {measure.title:<{NAME_COLUMNS}}", line("", heads)]
    floors = results.floors[workload.name][measure.name]
    # Medians are compared with medians; the lowest of some moments tells how the host was in others.
    for backend, values in floors.items():
        middles, lowest = zip(*values)
        cells = [number(median(middles)), number(min(lowest)), number(max(middles))]
        lines.append(line(f"(floor, {backend})", cells))
    for server in servers:
        values = rows[server.name]
        cells = numbers(values[measure.name], ours.values())
        if measure.floor:
            floor = floors.get(server.backend)
            both = [median(of_all) for of_all in zip(*floor)] if floor else [None, None]
            cells += [ratio(middle(values, measure.name), of_floor) for of_floor in both]
        if beside:
            cells.append(number(middle(values, "beside")))
        mark = "  loader-bound" if values["loader_bound"] else ""
        lines.append(line(server.name, cells) + mark)
    return "\n".join(lines)


def numbers(values, ours):
    """Median and spread of the rounds, and how many times ours."""
    if not values:
        return ["-"] * 5
    cells = [number(median(values)), number(min(values)), number(max(values))]
    return cells + [ratio(median(values), other) for other in ours]


def middle(row, name):
    values = row.get(name)
    return median(values) if values else None


def ratio(value, other):
    return "-" if value is None or not other else f"{value / other:.2f}"


def number(value):
    """Three digits that count, and no power of ten."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def line(name, cells):
    return f"  {name:<{NAME_COLUMNS}}" + "".join(f"{cell:>12}" for cell in cells)


def as_json(results):
    """Everything, for programs: the values of all rounds."""
    return {
        "values": results.values,
        "floors_us": results.floors,
        "memory_ns": results.memory,
        "p999_rate": results.rate,
        "problems": results.problems,
    }
