"""Creates the accounts of a rush and logs them in: load clients and operators."""

from cafeteria.faultkit.cluster import Arena
from cafeteria.faultkit.history import History
from cafeteria.faultkit.operators import Staff, enrol, student_ids
from cafeteria.rush.load_clients import Crowd


async def assemble(
    arena: Arena, history: History, *, students: int, hot_portions: int
) -> tuple[Crowd, Staff]:
    """Log the operators in, create the hot dish, and connect the students on all devices. Raises TimeoutError."""
    staff = Staff.meet(arena, history)
    await staff.arrive()
    menu = await staff.set_the_table(hot_portions=hot_portions)
    ids = student_ids(students)
    async with arena.database() as connection:
        await enrol(connection, ids)
    crowd = Crowd(
        ids,
        http=arena.http,
        urls=arena.urls,
        history=history,
        menu=menu,
        seed=arena.seed,
        began_at=arena.began_at,
    )
    await crowd.arrive()
    arena.students = crowd.students
    return crowd, staff
