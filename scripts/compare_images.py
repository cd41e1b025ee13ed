"""python compare_images.py IMAGE IMAGE: says which files of two images differ, in content, mode, owner or time. Ends with 1 if any does."""

import hashlib
import subprocess
import sys
import tarfile

DOCKERS = (
    ".dockerenv",
    "dev/console",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "dev",
    "etc",
    "proc",
    "sys",
    "dev/pts",
    "dev/shm",
    "",
)
"""What Docker puts into a container of any image."""


def files(image: str) -> dict[str, tuple[object, ...]]:
    """Each file's kind, mode, owner, time, target and content."""
    container = subprocess.run(["docker", "create", image], capture_output=True, text=True, check=True).stdout.strip()
    found = {}
    try:
        with (
            subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as export,
            tarfile.open(fileobj=export.stdout, mode="r|") as tar,
        ):
            for each in tar:
                if (name := each.name.rstrip("/")) in DOCKERS:
                    continue
                held = tar.extractfile(each) if each.isreg() else None
                content = hashlib.sha256(held.read()).hexdigest() if held else ""
                found[name] = (each.type, each.mode, each.uid, each.gid, each.mtime, each.linkname, content)
    finally:
        subprocess.run(["docker", "rm", container], stdout=subprocess.DEVNULL, check=True)
    return found


def main() -> int:
    """Print the differences."""
    one, other = (files(image) for image in sys.argv[1:3])
    different = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    for name in different:
        print(f"{name}\n  {one.get(name)}\n  {other.get(name)}")
    print(f"{len(different)} of {len(one)} files differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
