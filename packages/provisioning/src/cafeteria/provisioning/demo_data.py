"""Inserts demo dishes and accounts where there are none, and never changes existing rows.

The administrator writes them, because no service may use another's tables. Each item has its inventory row and a first
restock, so that the ledger is consistent from the start.
"""

import asyncio
from dataclasses import dataclass
from decimal import Decimal

import asyncpg

from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.values import Role
from cafeteria.provisioning.administrator import connect

PASSWORD = "iftar-rush-2026"  # noqa: S105 - the demo password is public
PORTIONS = 1_000
ACTOR = "demo data"
STUDENTS = tuple(str(number) for number in range(210_041_101, 210_041_301))
KITCHEN = "kitchen-1"
OPERATOR = "operator-1"


@dataclass(frozen=True, kw_only=True)
class Dish:
    name: str
    price: Decimal


MENU = (
    Dish(name="Chicken Biryani", price=Decimal("140.00")),
    Dish(name="Beef Tehari", price=Decimal("150.00")),
    Dish(name="Mutton Kacchi", price=Decimal("220.00")),
    Dish(name="Chicken Haleem", price=Decimal("90.00")),
    Dish(name="Beef Haleem", price=Decimal("110.00")),
    Dish(name="Khichuri with Egg", price=Decimal("80.00")),
    Dish(name="Morog Polao", price=Decimal("160.00")),
    Dish(name="Chola Bhuna", price=Decimal("25.00")),
    Dish(name="Piyaju, four pieces", price=Decimal("20.00")),
    Dish(name="Beguni, two pieces", price=Decimal("20.00")),
    Dish(name="Alur Chop, two pieces", price=Decimal("20.00")),
    Dish(name="Vegetable Samosa, two pieces", price=Decimal("30.00")),
    Dish(name="Chicken Shami Kebab", price=Decimal("45.00")),
    Dish(name="Muri Makha", price=Decimal("30.00")),
    Dish(name="Medjool Dates, five pieces", price=Decimal("60.00")),
    Dish(name="Fruit Chaat", price=Decimal("50.00")),
    Dish(name="Jilapi, 100 g", price=Decimal("25.00")),
    Dish(name="Firni", price=Decimal("40.00")),
    Dish(name="Lemon Sharbat", price=Decimal("20.00")),
    Dish(name="Rooh Afza Milk", price=Decimal("35.00")),
)


async def ensure_demo_data(admin_url: str) -> None:
    """Add missing accounts, and the dishes only while there is no item at all, because operators rename items."""
    connection = await connect(admin_url)
    try:
        async with connection.transaction():
            await _ensure_accounts(connection)
            await _ensure_menu(connection)
    finally:
        await connection.close()


async def _ensure_accounts(connection: asyncpg.Connection) -> None:
    existing = {row[0] for row in await connection.fetch("SELECT student_id FROM identity.users")}
    for role, accounts in _ACCOUNTS.items():
        if missing := [account for account in accounts if account not in existing]:
            await _insert_accounts(connection, role, missing)


async def _insert_accounts(connection: asyncpg.Connection, role: Role, accounts: list[str]) -> None:
    """All accounts of a role share one hash: their password is public, so separate salts would hide nothing, and 200
    hashes would add eight seconds to the start.
    """
    password_hash = await asyncio.to_thread(_hashed)
    at = now()
    await connection.executemany(
        "INSERT INTO identity.users (id, student_id, password_hash, created_at, updated_at, role)"
        " VALUES ($1, $2, $3, $4, $4, $5) ON CONFLICT (student_id) DO NOTHING",
        [(new_id(), account, password_hash, at, role.value) for account in accounts],
    )


async def published_accounts(admin_url: str) -> list[str]:
    """Return which of the demo data's kitchen and operator can sign in with the published password."""
    from cafeteria.identity.password_hashing import is_password_of  # noqa: PLC0415 - a slow import

    connection = await connect(admin_url)
    try:
        rows = await connection.fetch(
            "SELECT student_id, password_hash FROM identity.users"
            " WHERE student_id = ANY($1) AND disabled_at IS NULL ORDER BY student_id",
            [KITCHEN, OPERATOR],
        )
    finally:
        await connection.close()
    return [row["student_id"] for row in rows if is_password_of(PASSWORD, row["password_hash"])]


def _hashed() -> str:
    from cafeteria.identity.password_hashing import hash_password  # noqa: PLC0415 - only when an account is missing

    return hash_password(PASSWORD)


async def _ensure_menu(connection: asyncpg.Connection) -> None:
    await connection.execute("LOCK TABLE stock.items IN SHARE ROW EXCLUSIVE MODE")  # two bootstraps at once
    if await connection.fetchval("SELECT EXISTS (SELECT FROM stock.items)"):
        return
    at = now()
    dishes = [(new_id(), dish) for dish in MENU]
    await connection.executemany(
        "INSERT INTO stock.items (id, name, price, created_at, on_sale) VALUES ($1, $2, $3, $4, true)",
        [(item_id, dish.name, dish.price, at) for item_id, dish in dishes],
    )
    await connection.executemany(
        "INSERT INTO stock.inventory (id, item_id, quantity, version, updated_at) VALUES ($1, $2, $3, 1, $4)",
        [(new_id(), item_id, PORTIONS, at) for item_id, _ in dishes],
    )
    await connection.executemany(
        "INSERT INTO stock.restocks (id, item_id, quantity, actor, created_at) VALUES ($1, $2, $3, $4, $5)",
        [(new_id(), item_id, PORTIONS, ACTOR, at) for item_id, _ in dishes],
    )


_ACCOUNTS: dict[Role, tuple[str, ...]] = {
    Role.STUDENT: STUDENTS,
    Role.KITCHEN: (KITCHEN,),
    Role.OPERATOR: (OPERATOR,),
}
