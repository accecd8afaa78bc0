"""Known vulnerabilities of what is locked: asked of the advisory service, in `make prove`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.validation.requirements import ROOT

LOCK = ROOT / "requirements" / "base.lock"


def findings(report: str) -> tuple[list[str], list[str], list[str]]:
    """From pip-audit's JSON: vulnerabilities, packages that were asked for, and those not."""
    packages: list[dict[str, Any]] = json.loads(report)["dependencies"]
    asked = [each for each in packages if "skip_reason" not in each]
    vulnerable = [
        f"{each['name']} {each['version']}: {found['id']}, fixed in {found['fix_versions']}"
        for each in asked
        for found in each["vulns"]
    ]
    not_asked = [each["name"] for each in packages if "skip_reason" in each]
    return vulnerable, [each["name"] for each in asked], not_asked


@pytest.mark.slow
@pytest.mark.requirement("REQ-074")
def test_no_locked_package_has_a_known_vulnerability(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip"),
            *("--progress-spinner", "off", "--timeout", "20", "--format", "json"),
            *("-r", str(LOCK)),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    vulnerable, asked, not_asked = ([], [], [])
    if done.stdout.startswith("{"):
        vulnerable, asked, not_asked = findings(done.stdout)
    if not asked:
        # A mirror without advisories answers "not found" for each package: no answer either.
        why = f"it knows none of {len(not_asked)} packages" if not_asked else done.stderr[-200:]
        pytest.skip(f"advisories were NOT checked, the service cannot be reached: {why}")
    assert vulnerable == []
    assert not_asked == []


def test_a_report_is_read_whole() -> None:
    report = {
        "dependencies": [
            {"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]},
            {"name": "b", "version": "1", "vulns": []},
            {"name": "c", "skip_reason": "not found"},
        ]
    }
    assert findings(json.dumps(report)) == (["a 1: X-1, fixed in ['2']"], ["a", "b"], ["c"])
