"""Fails when an object file of a SIMD level defines a function that other files may define too.

Of such functions (inline ones of the standard library, say) the linker keeps one copy for the whole program. Were it
the one compiled for AVX-512, every other processor would stop with an illegal instruction.

    python check_level_symbols.py NM OBJECT...
"""

import re
import subprocess
import sys

OWN = re.compile(r"\bdiorama::(avx512|avx2|portable)::")


def shared_symbols(nm: str, path: str) -> list[str]:
    """Weak definitions outside of the levels' namespaces."""
    lines = subprocess.run([nm, "-C", "--defined-only", path], check=True, capture_output=True, text=True).stdout
    symbols = [line.split(" ", 2)[1:] for line in lines.splitlines() if line]
    return [name for kind, name in symbols if kind in "WVu" and not OWN.search(name)]


def main() -> None:
    nm, *paths = sys.argv[1:]
    found = [f"{path}: {name}" for path in paths for name in shared_symbols(nm, path)]
    if found:
        raise SystemExit("SIMD levels must not define functions that other files share:\n" + "\n".join(found))


if __name__ == "__main__":
    main()
