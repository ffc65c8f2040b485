"""A `Scan` in, SARIF 2.1.0 out (OASIS, sarif-v2.1.0): what code hosts show beside a change."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from lading.core.scan import Finding, Scan
from lading.scan.rules import RULES

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(scan: Scan, version: str) -> dict[str, Any]:
    """Return one run with every finding; what a policy lets pass is suppressed, as SARIF has it."""
    rules = [
        {
            "id": rule.id,
            "shortDescription": {"text": rule.about},
            "defaultConfiguration": {"level": rule.level},
        }
        for rule in RULES
    ]
    results = [_result(scan, one) for one in scan.findings]
    results += [
        {
            **_result(scan, one),
            "suppressions": [{"kind": "external", "justification": "allowed by the policy"}],
        }
        for one in scan.allowed
    ]
    driver = {"name": "lading", "version": version, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": True}],
        "columnKind": "utf16CodeUnits",
        "results": results,
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(scan: Scan, finding: Finding) -> dict[str, Any]:
    digest = scan.digests.get(finding.file)
    result: dict[str, Any] = {
        "ruleId": finding.rule.id,
        "ruleIndex": RULES.index(finding.rule),
        "level": finding.rule.level,
        "message": {"text": f"{finding.where}: {finding.name}: {finding.why}"},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": quote(finding.file)}},
                "logicalLocations": [{"fullyQualifiedName": finding.where, "kind": "member"}],
            }
        ],
    }
    if digest:
        result["partialFingerprints"] = {"fileDigest/v1": str(digest), "finding/v1": finding.name}
    return result
