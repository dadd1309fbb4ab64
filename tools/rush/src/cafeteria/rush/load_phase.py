"""Runs orders and faults at the same time until both are over, and measures how long all orders then take to end."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from cafeteria.faultkit.cluster import Cluster
from cafeteria.faultkit.operators import Operators
from cafeteria.faultkit.quiescence import Quiescence, reach_quiescence, until_orders_ended
from cafeteria.local_stack.tasks import running
from cafeteria.rush.load_clients import LoadClients
from cafeteria.rush.nemesis import Nemesis


async def run_load_phase(
    cluster: Cluster, load_clients: LoadClients, operators: Operators, nemesis: Nemesis
) -> Quiescence:
    """Run the load under faults and wait for quiescence. The recovery time ignores orders placed after the last fault healed."""
    async with running(operators.work()):
        recovered_after_s, _ = await together(
            _wait_for_recovery(cluster, nemesis), load_clients.order(nemesis.load_control)
        )
    return await reach_quiescence(cluster, recovered_after_s=recovered_after_s)


async def _wait_for_recovery(cluster: Cluster, nemesis: Nemesis) -> float | None:
    await nemesis.run()
    return await until_orders_ended(cluster)


async def together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """Like `gather`, but when one task fails the others are cancelled: they wait for each other's progress."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in work]
    return [task.result() for task in tasks]
