"""An image's bill of materials in CycloneDX: the Python packages as cyclonedx-py found them, and Debian's beside them.

python sbom.py PYTHON.json DPKG: DPKG is a folder with the image's own dpkg `status`, for the stage that runs this has more.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

FORMAT = "${Package}\\t${Version}\\t${Architecture}\\t${source:Package}\\t${source:Version}\\n"


def debian(dpkg: Path, distribution: str) -> list[dict[str, Any]]:
    """A component for each package that is installed, with the package URL by which scanners know it."""
    listed = subprocess.run(
        ["dpkg-query", f"--admindir={dpkg}", "--show", f"--showformat={FORMAT}"],
        capture_output=True,
        text=True,
        check=True,
    )
    components = []
    for line in sorted(listed.stdout.splitlines()):
        name, version, architecture, source, source_version = line.split("\t")
        url = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}&distro={distribution}"
        origin = [{"name": "source", "value": f"{source} {source_version}"}]
        components.append(
            {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url, "properties": origin}
        )
    return components


def codename(os_release: Path) -> str:
    """The codename of the Debian that an image is made of."""
    fields = dict(line.split("=", 1) for line in os_release.read_text().splitlines() if "=" in line)
    return fields.get("VERSION_CODENAME", "unknown").strip('"')


def main() -> None:
    python, dpkg = Path(sys.argv[1]), Path(sys.argv[2])
    bill = json.loads(python.read_text())
    bill["components"] = bill.get("components", []) + debian(dpkg, codename(Path("/etc/os-release")))
    json.dump(bill, sys.stdout, indent=1, sort_keys=True)


if __name__ == "__main__":
    main()
