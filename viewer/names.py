"""Names of files that strangers choose, made fit for every file system and for people's eyes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

MAX_BYTES = 120
"""Well below the 255 that file systems take: other parts are put in front and behind."""
EXTENSION_BYTES = 16
FALLBACK = "file"

_FORBIDDEN = re.compile(r'[<>:"|?*]')
_WINDOWS = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])", re.IGNORECASE)
"""Devices: on Windows they are opened instead of a file, whatever extension follows."""


def safe_name(name: str) -> str:
    """A file name that names nothing but a file: no folders, no hidden file, no device, no invisible characters.

    Equal for equal-looking spellings (NFC), at most `MAX_BYTES` bytes in UTF-8, the extension kept.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    # Controls, formats (which turn text around), surrogates, unassigned ones and separators of lines.
    shown = "".join(c for c in last if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
    plain = _FORBIDDEN.sub("_", shown).strip().lstrip(".").rstrip(". ").strip()
    if not plain:
        return FALLBACK
    if _WINDOWS.fullmatch(plain.split(".")[0].strip()):
        plain = "_" + plain
    return _shortened(plain)


def distinct_names(names: Iterable[str]) -> list[str]:
    """The same names, with (2), (3), ... in those that came before; a file system may not tell capitals."""
    taken: set[str] = set()
    result = []
    for name in names:
        stem, dot, extension = name.rpartition(".") if "." in name else (name, "", "")
        candidate, number = name, 2
        while candidate.casefold() in taken:
            candidate, number = f"{stem} ({number}){dot}{extension}", number + 1
        taken.add(candidate.casefold())
        result.append(candidate)
    return result


def _shortened(name: str) -> str:
    if len(name.encode()) <= MAX_BYTES:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension.encode()) > EXTENSION_BYTES:
        stem, dot, extension = name, "", ""
    room = MAX_BYTES - len((dot + extension).encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ") + dot + extension
