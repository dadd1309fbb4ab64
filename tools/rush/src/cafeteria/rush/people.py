"""Creates the accounts of a rush and logs them in: load clients and operators."""

from cafeteria.rush.arena import Arena
from cafeteria.rush.crowd import Crowd
from cafeteria.rush.history import History
from cafeteria.rush.staff import Staff, enrol, student_ids


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
