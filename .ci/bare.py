"""Makes environments that hold what batchgen needs to run and nothing else, one for each supported Python that is found.

    python .ci/bare.py build/bare

`tests/test_packaging.py` installs the built wheel into them.
"""

import pathlib
import shutil
import subprocess
import sys

MINORS = (11, 12, 13)
PINNED = (
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "--require-hashes",
    "--only-binary",
    ":all:",
)


def found(minor: int) -> str | None:
    """An interpreter of CPython 3.`minor`: this one, one on the path, or one that pyenv keeps."""
    name = f"python3.{minor}"
    kept = sorted(pathlib.Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/{name}"))
    own = [sys.executable] if sys.version_info[:2] == (3, minor) else []
    for path in [*own, shutil.which(name), *map(str, kept)]:
        if path and runs(path, minor):
            return path
    return None


def runs(path: str, minor: int) -> bool:
    """Whether an interpreter is what its name says, and can make environments."""
    question = "import ensurepip, sqlite3, ssl, sys, venv; print(sys.implementation.name, sys.version_info[:2])"
    answer = subprocess.run([path, "-c", question], capture_output=True, text=True, check=False)
    return answer.stdout.strip() == f"cpython (3, {minor})"


def main(folder: pathlib.Path) -> None:
    """Make them below a folder, anew."""
    for minor in MINORS:
        python = found(minor)
        if python is None:
            sys.stdout.write(f"no CPython 3.{minor} here: the wheel is not tried with it\n")
            continue
        home = folder / f"3.{minor}"
        subprocess.run([python, "-m", "venv", "--clear", home], check=True)
        subprocess.run([home / "bin" / "python", *PINNED, "-r", "requirements/run.txt"], check=True)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
