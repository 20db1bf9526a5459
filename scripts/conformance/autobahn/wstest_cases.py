"""Print the cases of the original suite as JSON, id to description. Runs on Python 2.7."""

from __future__ import print_function

import json

from autobahntestsuite.case import (
    CaseBasename,
    CaseCategories,
    Cases,
    CaseSetname,
    CaseSubCategories,
)
from autobahntestsuite.caseset import CaseSet

case_set = CaseSet(CaseSetname, CaseBasename, Cases, CaseCategories, CaseSubCategories)
print(
    json.dumps(
        {
            case_id: case_set.caseClassToPrettyDescription(case)
            for case_id, case in case_set.CasesById.items()
        }
    )
)
