"""All benches behind the README are started by one command, which tells who failed."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from backhaul.child import start_child
from bench import readme_figures
from bench.readme_figures import BENCHES, Bench, run

ROOT = Path(__file__).parents[2]


async def test_benches_run_one_after_the_other() -> None:
    process = await start_child(
        [
            *(sys.executable, str(ROOT / "bench" / "readme_figures.py")),
            *("--only", "location", "short_calls", "router"),
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    *_, location, short_calls, router = out.decode().splitlines()
    assert location.startswith("location ")
    assert location.endswith(" s")
    assert short_calls.split(maxsplit=1) == ["short_calls", "only with --full"]
    assert router.startswith("router ")
    assert "== where a call goes" in out.decode()


@pytest.mark.parametrize("full", [False, True])
def test_every_bench_takes_the_arguments_that_it_is_given(*, full: bool) -> None:
    for name, bench in BENCHES.items():
        command = [*bench.command(name, full=full), "--unheard-of"]
        asked = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
        # All that is found wrong is what was added.
        assert re.search("(arguments|option): --unheard-of", asked.stderr), name


def test_a_bench_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Bench("nothing", "--unheard-of", "--unheard-of")
    monkeypatch.setitem(BENCHES, "router", broken)
    assert run("router", full=False) == "FAILED with exit code 2"
    monkeypatch.setattr(sys, "argv", ["readme_figures", "--only", "router"])
    with pytest.raises(SystemExit) as ended:
        readme_figures.main()
    assert ended.value.code == 1


def test_who_needs_root_is_left_out_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert run("transports", full=False) == "needs root"
