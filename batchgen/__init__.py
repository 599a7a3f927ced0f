"""Batch image generation against a hosted, paid images API.

For programs: `load_job`, `plan`, `run`, `run_async`, `manifest`, `open_ledger`; docs/python.md shows each at work. What stands in
`__all__` stays as it is within a major version; everything else in this package is its inside.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from batchgen import events as events
    from batchgen.errors import BatchgenError as BatchgenError
    from batchgen.errors import Exit as Exit
    from batchgen.library.reading import load_job as load_job
    from batchgen.library.reading import manifest as manifest
    from batchgen.library.reading import open_ledger as open_ledger
    from batchgen.library.reading import plan as plan
    from batchgen.library.running import Report as Report
    from batchgen.library.running import run as run
    from batchgen.library.running import run_async as run_async
    from batchgen.spec.job import Job as Job
    from batchgen.spec.plan import Plan as Plan
    from batchgen.storage.manifest import ManifestRow as ManifestRow

_HOMES = {
    "BatchgenError": "batchgen.errors",
    "Exit": "batchgen.errors",
    "Job": "batchgen.spec.job",
    "ManifestRow": "batchgen.storage.manifest",
    "Plan": "batchgen.spec.plan",
    "Report": "batchgen.library.running",
    "load_job": "batchgen.library.reading",
    "manifest": "batchgen.library.reading",
    "open_ledger": "batchgen.library.reading",
    "plan": "batchgen.library.reading",
    "run": "batchgen.library.running",
    "run_async": "batchgen.library.running",
}

__all__ = [
    "BatchgenError",
    "Exit",
    "Job",
    "ManifestRow",
    "Plan",
    "Report",
    "__version__",
    "events",
    "load_job",
    "manifest",
    "open_ledger",
    "plan",
    "run",
    "run_async",
]


def __getattr__(name: str) -> Any:
    # Imported when it is first asked for: the command line's help and completion answer without any of it.
    if name == "events":
        return importlib.import_module("batchgen.events")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
