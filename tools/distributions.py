"""What `make wheel` does to the files of a release.

    python tools/distributions.py sdist FILE   the same sdist for the same sources
    python tools/distributions.py sbom WHEEL   writes WHEEL.cdx.json: what is inside the wheel

SOURCE_DATE_EPOCH is the time of all files of the sdist.
"""

import gzip
import hashlib
import io
import json
import os
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path, PurePosixPath

# The licences of libraries that auditwheel copies into the wheel, in SPDX's words.
LICENCES = {"libgomp": "GPL-3.0-or-later WITH GCC-exception-3.1"}


def rewrite_sdist(path):
    """Give the files of an sdist one order, time, owner and mode: those of a clone differ."""
    time = int(os.environ.get("SOURCE_DATE_EPOCH", 0))
    with tarfile.open(path) as old:
        parts = [
            (member, old.extractfile(member).read() if member.isfile() else None)
            for member in sorted(old.getmembers(), key=lambda member: member.name)
        ]
    with path.open("wb") as file, gzip.GzipFile("", "wb", mtime=time, fileobj=file) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new:
            for member, content in parts:
                is_program = member.isdir() or member.mode & 0o100
                plain = tarfile.TarInfo(member.name)
                plain.type, plain.mtime, plain.size = member.type, time, member.size
                plain.linkname, plain.mode = member.linkname, 0o755 if is_program else 0o644
                new.addfile(plain, None if content is None else io.BytesIO(content))


def sbom_of(path):
    """The CycloneDX bill of materials of a repaired wheel: itself, its dependencies and the
    libraries inside, which auditwheel has listed.
    """
    with zipfile.ZipFile(path) as wheel:
        files = {name: wheel.read(name) for name in sorted(wheel.namelist()) if name[-1] != "/"}
    folder = next(name.split("/")[0] for name in files if name.endswith(".dist-info/METADATA"))
    about = Parser().parsestr(files[f"{folder}/METADATA"].decode())
    name, version = about["Name"], about["Version"]
    package = f"pkg:pypi/{name}@{version}?file_name={path.name}"
    listed = json.loads(files.get(f"{folder}/sboms/auditwheel.cdx.json", b'{"components": []}'))
    libraries = []
    for file in (file for file in files if PurePosixPath(file).parts[0] == f"{name}.libs"):
        library = PurePosixPath(file).name.split(".")[0].split("-")[0]
        if library not in LICENCES:
            raise SystemExit(f"{file} in {path}: write the licence of {library} into {__file__}")
        known = [part for part in listed["components"] if part["name"].startswith(library)]
        source = {key: known[0][key] for key in ("version", "purl")} if known else {}
        libraries.append(
            {"type": "library", "bom-ref": file, "name": library}
            | source
            | {"hashes": _hashes(files[file]), "licenses": [{"expression": LICENCES[library]}]}
        )
    compiled = [
        {"type": "file", "bom-ref": file, "name": file, "hashes": _hashes(content)}
        for file, content in files.items()
        if ".so" in PurePosixPath(file).suffixes and PurePosixPath(file).parts[0] == name
    ]
    needed = [
        {"type": "library", "bom-ref": f"needs {words}", "name": words.split(">")[0].strip()}
        | {"scope": "required", "description": f"installed beside the wheel: {words}"}
        for words in about.get_all("Requires-Dist", [])
        if "extra ==" not in words
    ]
    parts = [*libraries, *compiled, *needed]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": package,
                "name": name,
                "version": version,
                "purl": package,
                "hashes": _hashes(path.read_bytes()),
                "licenses": [{"expression": about["License-Expression"]}],
            }
        },
        "components": parts,
        "dependencies": [{"ref": package, "dependsOn": [part["bom-ref"] for part in parts]}],
    }


def _hashes(content):
    return [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]


def main(command, path):
    path = Path(path)
    if command == "sdist":
        rewrite_sdist(path)
    else:
        path.with_name(path.name + ".cdx.json").write_text(
            json.dumps(sbom_of(path), indent=2) + "\n"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
