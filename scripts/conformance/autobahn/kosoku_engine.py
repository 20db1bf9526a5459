"""List or run the suite's cases with kosoku: `kosoku_engine.py list` or `... run SPEC.json`.

`list` prints the cases as JSON, id to description. `run` takes the specification file of the
original suite's fuzzing client and writes the same reports.
"""

import asyncio
import importlib
import json
import pathlib
import re
import sys

import kosoku
from kosoku._caseindex import initialize_shims
from kosoku._report import write_reports


def case_classes():
    """Every class of kosoku's case files that has the name of a case."""
    initialize_shims()
    for path in sorted((pathlib.Path(kosoku.__file__).parent / "cases").glob("case*.py")):
        for value in list(vars(importlib.import_module(path.stem)).values()):
            for case in value if isinstance(value, list) else [value]:
                name = getattr(case, "__name__", "")
                if isinstance(case, type) and re.fullmatch(r"Case\d+(_\d+)+", name):
                    yield name, case


def descriptions():
    return {
        name.removeprefix("Case").replace("_", "."): " ".join(
            str(case.DESCRIPTION).split("<")[0].split()
        )
        for name, case in case_classes()
        if hasattr(case, "EXPECTATION")
    }


async def run(url, cases):
    try:
        return await kosoku.run_fuzzingclient(url, cases)
    except kosoku.FailureError as error:
        return error.results


if sys.argv[1] == "list":
    print(json.dumps(descriptions()))
else:
    with open(sys.argv[2], encoding="utf-8") as file:
        spec = json.load(file)
    write_reports(asyncio.run(run(spec["servers"][0]["url"], spec["cases"])), spec["outdir"])
