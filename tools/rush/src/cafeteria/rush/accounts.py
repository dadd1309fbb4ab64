"""Creates the accounts of a rush and logs them in: load clients and operators."""

from cafeteria.faultkit.cluster import Cluster
from cafeteria.faultkit.history import History
from cafeteria.faultkit.operators import Operators, enrol, student_ids
from cafeteria.rush.load_clients import LoadClients


async def assemble(
    cluster: Cluster, history: History, *, students: int, hot_portions: int
) -> tuple[LoadClients, Operators]:
    """Log the operators in, create the hot dish, and connect the students on all devices. Raises TimeoutError."""
    operators = Operators(cluster, history)
    await operators.arrive()
    menu = await operators.set_the_table(hot_portions=hot_portions)
    ids = student_ids(students)
    async with cluster.database() as connection:
        await enrol(connection, ids)
    load_clients = LoadClients(cluster, ids, history=history, menu=menu)
    await load_clients.arrive()
    cluster.students = load_clients.students
    return load_clients, operators
