"""Compares Throng with servers on other libraries."""

import argparse
import json
import sys
from pathlib import Path

import rounds
import servers
import table
import workloads


def parse():
    names = [workload.name for workload in workloads.ALL]
    parser = argparse.ArgumentParser(prog="compare.sh", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of all servers [3]")
    parser.add_argument("--seconds", type=int, default=5, help="seconds of a run [5]")
    parser.add_argument("--only", metavar="LIST", help=f"workloads of {','.join(names)}")
    parser.add_argument("--servers", metavar="LIST", help="only these, by their names")
    parser.add_argument("--peer", metavar="NAME=COMMAND=URLBASE", action="append", default=[],
                        help="one more server, {port} in command and base; repeatable")
    parser.add_argument("--together", action="store_true",
                        help="all servers at the same time, where clients have echoes")
    parser.add_argument("--json", metavar="FILE", type=Path, help="the values of all rounds")
    parser.add_argument("--no-build", action="store_true", help="take what was built before")
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds are 1 at least")
    options.workloads = choose(parser, workloads.ALL, options.only)
    if options.together:
        options.workloads = [workloads.together(workload) for workload in options.workloads
                             if workload.has_company]
        if not options.workloads:
            parser.error("--together is for echo-1, echo-16 and echo-16k")
    try:
        candidates = servers.known() + [servers.parse_peer(peer) for peer in options.peer]
    except ValueError as error:
        parser.error(str(error))
    options.chosen = choose(parser, candidates, options.servers)
    return options


def choose(parser, candidates, names):
    """Those that were named, in their own order; all if none were."""
    if names is None:
        return candidates
    wanted = [name.strip() for name in names.split(",")]
    unknown = set(wanted) - {candidate.name for candidate in candidates}
    if unknown:
        known = ", ".join(candidate.name for candidate in candidates)
        parser.error(f"no {', '.join(sorted(unknown))} among {known}")
    return [candidate for candidate in candidates if candidate.name in wanted]


def main():
    options = parse()
    results = rounds.run(options.chosen, options.workloads, options)
    print(table.render(results, options.chosen, options.workloads))
    if options.json:
        text = json.dumps(table.as_json(results), indent=2)
        options.json.write_text(text + "\n")
    return 0 if not results.problems else 1


if __name__ == "__main__":
    sys.exit(main())
