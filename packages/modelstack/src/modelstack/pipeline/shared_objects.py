"""The system libraries that the serving lock's packages need, compared with those that the image has.

A wheel holds compiled code that may need shared libraries of the system, such as libgomp.so.1. Each shared object names
them (DT_NEEDED in its dynamic section, System V ABI). The images have those of `BASE`, and of the Debian packages that
`requirements/serving.apt` names, one a line. A line with a library's own name is for one that is in a package of
another name, or that nothing loads.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
from pathlib import Path

from modelstack.pipeline.contract import Refusal

DECLARED = "serving.apt"
BASE = (
    "ld-linux-aarch64.so.1 ld-linux-x86-64.so.2 libbz2.so.1.0 libc.so.6 libcrypt.so.1 libcrypto.so.3 libdl.so.2 "
    "libexpat.so.1 libffi.so.8 libgcc_s.so.1 liblzma.so.5 libm.so.6 libnsl.so.1 libpthread.so.0 libresolv.so.2 "
    "librt.so.1 libssl.so.3 libstdc++.so.6 libtinfo.so.6 libutil.so.1 libz.so.1"
)
"""In both base images: a small Debian bookworm with Python, and python:3.11-slim-bookworm."""
_LOAD, _DYNAMIC = 1, 2
_NULL, _NEEDED, _STRTAB = 0, 1, 5


def check_system_libraries(requirements: Path, site: Path) -> None:
    """Refuse a folder of installed packages that needs a library which neither it nor the image has."""
    known = {_plain(line) for line in declared(requirements)}
    found = (Path(folder, name) for folder, _, names in os.walk(site, followlinks=True) for name in names)
    objects = [path for path in found if ".so" in path.suffixes]
    given = {*BASE.split(), *(path.name for path in objects)}
    lacking = {name: path.relative_to(site) for path in sorted(objects) for name in needed(path) if name not in given}
    wanted = {name: debian_package(name) for name in sorted(lacking)}
    if undeclared := [name for name, package in wanted.items() if not {_plain(package), _plain(name)} & known]:
        listed = "".join(
            f"\n  - {lacking[name]} needs {name}, which Debian has in {wanted[name]}" for name in undeclared
        )
        raise Refusal(
            "packages of requirements/serving.txt need system libraries that the image does not have: name their "
            f"Debian packages in requirements/{DECLARED}, and run `make image`{listed}"
        )


def declared(requirements: Path) -> list[str]:
    """The lines of `serving.apt`, without comments; none without the file."""
    path = requirements / DECLARED
    lines = (line.partition("#")[0].strip() for line in (path.read_text().splitlines() if path.exists() else ()))
    return [line for line in lines if line]


def debian_package(name: str) -> str:
    """The Debian package of a library by Debian's rule (Policy 8.1): libgomp.so.1 is in libgomp1."""
    return re.sub(r"\.so(\.|$)", "", re.sub(r"([0-9])\.so\.", r"\1-", name)).replace("_", "-").lower()


def needed(path: Path) -> list[str]:
    """The libraries that a shared object names; none of a file that is no 64-bit little-endian ELF file."""
    with path.open("rb") as file:
        if file.read(6) != b"\x7fELF\x02\x01":
            return []
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _needed(content)


def _needed(content: mmap.mmap) -> list[str]:
    start, size, count = *struct.unpack_from("<Q", content, 32), *struct.unpack_from("<HH", content, 54)
    segments = [struct.unpack_from("<IIQQQQQQ", content, start + number * size) for number in range(count)]
    loaded = [(address, offset, length) for kind, _, offset, address, _, length, *_ in segments if kind == _LOAD]
    dynamic = [
        struct.unpack_from("<qQ", content, place)
        for kind, _, offset, _, _, length, *_ in segments
        if kind == _DYNAMIC
        for place in range(offset, offset + length, 16)
    ]
    entries = dynamic[: next((number for number, (tag, _) in enumerate(dynamic) if tag == _NULL), None)]
    at = next((value for tag, value in entries if tag == _STRTAB), 0)
    strings = next((at - address + offset for address, offset, length in loaded if address <= at < address + length), 0)
    names = (strings + value for tag, value in entries if tag == _NEEDED)
    return [content[name : content.find(b"\0", name)].decode() for name in names]


def _plain(name: str) -> str:
    """Without what packages of one library differ in: libglib2.0-0 has libglib-2.0.so.0."""
    return name.replace("-", "")
