"""`status` from another terminal while a run goes on."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from .conftest import KEY, Cli, bare_environment, sandbox_process, write_job


def test_status_says_what_a_running_model_waits_for(cli: Cli, tmp_path: Path) -> None:
    job = write_job(
        tmp_path,
        "prompts: [a lamp]\nseeds: {count: 100}\nmodels: [black-forest-labs/flux.1-dev]\n",
    )
    with sandbox_process(tmp_path, "--requests-per-minute", "6") as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "batchgen", "run", str(job), "--quiet"],
            env=bare_environment(tmp_path, MODELVERSE_API_KEY=KEY, MODELVERSE_BASE_URL=server.base_url),
        )
        pools: list[dict[str, object]] = []
        until = time.monotonic() + 60
        while not any(pool["state"] == "paused" for pool in pools):
            assert process.poll() is None
            assert time.monotonic() < until
            ran = cli("status", job, "--json", base_url=server.base_url)
            pools = json.loads(ran.out)["pools"] if ran.out.startswith("{") else []
        shown = cli("status", job, base_url=server.base_url).out
        process.send_signal(signal.SIGKILL)
        process.wait()
        after = json.loads(cli("status", job, "--json", base_url=server.base_url).out)

    assert "flux.1-dev: rate limited, " in shown
    assert " at once, resuming " in shown
    assert "it is going on now" in shown
    assert pools[0]["label"] == "flux.1-dev"
    assert after["pools"] == []
