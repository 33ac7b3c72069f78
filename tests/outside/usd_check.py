"""Run by a Python with a usd-core that still has usdchecker's rules in Python (up to 25.5): `usd_check.py FILE`.

Prints what they say, as JSON: plain, and with the rules for Apple's platforms (usdchecker --arkit).
"""

from __future__ import annotations

import json
import sys

from pxr import UsdUtils

# needs a shader library that the wheel was built without
MISSING = "ShaderPropertyTypeConformanceChecker"


def complaints(path: str, arkit: bool) -> list[str]:
    checker = UsdUtils.ComplianceChecker(arkit=arkit)
    checker._rules = [rule for rule in checker._rules if type(rule).__name__ != MISSING]
    assert len(checker._rules) > 5
    checker.CheckCompliance(path)
    return [*checker.GetErrors(), *checker.GetFailedChecks(), *checker.GetWarnings()]


print(json.dumps({"plain": complaints(sys.argv[1], False), "arkit": complaints(sys.argv[1], True)}))
