"""What it costs to decide where a call goes.

One profile, and agents that are spread evenly over the regions; every agent's link and
stock is known. Before each decision some agents say something new, as they do between
two calls, which is not counted. "decide" is one decision with all its candidates and
reasons; "decide, CPU" is the same by a clock that stands still while other processes
have the core; "decide and lend" also takes the lease off the agent's book; "snapshot"
is what one agent's news cost.

``--json`` prints one object.
"""

import argparse
import gc
import json
import random
import time
from typing import Any, Final

from backhaul.clock import monotonic_s
from backhaul.core.messages import ProfileStock, Stock
from edge.core.router import Router
from edge.core.routes import RouterConfig
from lab.figures import percentile

SIZES: Final = ((3, 6), (30, 200), (300, 2000))
"""Regions and agents."""
PROFILE: Final = "front-desk"
NEWS: Final = 8
"""Agents that say something new between two decisions."""


def stock(rng: random.Random) -> Stock:
    """Return what an agent may say."""
    return Stock(
        {PROFILE: ProfileStock(rng.randint(0, 9), 0.4, rng.uniform(0.2, 0.4))},
        active_calls=rng.randint(0, 40),
        target_calls=30,
        max_calls=50,
    )


def measure(regions: int, agents: int, rounds: int) -> dict[str, Any]:
    """Return the figures (microseconds) for one size of fleet."""
    rng = random.Random(1)  # noqa: S311 - keeps no secret
    names = [f"region-{n}" for n in range(regions)]
    router = Router(dict.fromkeys(names), config=RouterConfig(), rng=rng)
    addresses = [f"10.0.{n >> 8}.{n & 255}:8443" for n in range(agents)]
    for number, address in enumerate(addresses):
        router.add(address, names[number % regions])
        router.set_link(address, up=True, rtt_s=rng.uniform(0.001, 0.3))
        router.set_stock(address, stock(rng))
    router.route(PROFILE)
    decide: list[float] = []
    cpu: list[float] = []
    lend: list[float] = []
    snapshot: list[float] = []
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        for address in rng.sample(addresses, min(NEWS, agents)):
            said = stock(rng)
            began_at = monotonic_s()
            router.set_stock(address, said)
            snapshot.append(monotonic_s() - began_at)
        cpu_began_at = time.thread_time_ns()
        began_at = monotonic_s()
        decision = router.route(PROFILE)
        decide.append(monotonic_s() - began_at)
        cpu.append((time.thread_time_ns() - cpu_began_at) / 1e9)
        if decision.choice is not None:
            lent_at = monotonic_s()
            router.asked(decision.choice, PROFILE)
            lend.append(decide[-1] + monotonic_s() - lent_at)
            router.answered(decision.choice, PROFILE, None)
    return {
        "regions": regions,
        "agents": agents,
        "decide_us": _summary(decide),
        "decide_cpu_us": _summary(cpu),
        "decide_and_lend_us": _summary(lend),
        "snapshot_us": _summary(snapshot),
    }


def _summary(seconds: list[float]) -> dict[str, float]:
    return {
        f"p{share}": round((percentile(seconds, share) or 0) * 1e6, 1)
        for share in (50, 99)
    }


def main() -> None:
    """Measure every size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [measure(*size, options.rounds) for size in SIZES]
    if options.json:
        print(json.dumps({"router": rows}))
        return
    print(f"{'regions':>8}{'agents':>8}", end="")
    names = ("decide", "decide, CPU", "decide and lend", "snapshot")
    print("".join(f"{name:>18}" for name in names))
    for row in rows:
        print(f"{row['regions']:>8}{row['agents']:>8}", end="")
        for name in ("decide", "decide_cpu", "decide_and_lend", "snapshot"):
            figures = row[f"{name}_us"]
            text = f"{figures['p50']:.1f} / {figures['p99']:.1f}"
            print(f"{text:>18}", end="")
        print()
    print("p50 / p99 (microseconds)")


if __name__ == "__main__":
    main()
