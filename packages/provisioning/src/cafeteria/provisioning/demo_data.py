"""Inserts demo dishes and accounts where there are none, and never changes existing rows.

The administrator writes them, because no service may use another's tables. Each item has its inventory row and a first
restock, so that the ledger is consistent from the start.
"""

import asyncio
from decimal import Decimal

import asyncpg

from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.contracts.values import Role
from cafeteria.provisioning.administrator import connected

PASSWORD = "iftar-rush-2026"  # noqa: S105 - the demo password is public
PORTIONS = 1_000
ACTOR = "demo data"
STUDENTS = tuple(str(number) for number in range(210_041_101, 210_041_301))
KITCHEN = "kitchen-1"
OPERATOR = "operator-1"


MENU = {
    "Chicken Biryani": Decimal("140.00"),
    "Beef Tehari": Decimal("150.00"),
    "Mutton Kacchi": Decimal("220.00"),
    "Chicken Haleem": Decimal("90.00"),
    "Beef Haleem": Decimal("110.00"),
    "Khichuri with Egg": Decimal("80.00"),
    "Morog Polao": Decimal("160.00"),
    "Chola Bhuna": Decimal("25.00"),
    "Piyaju, four pieces": Decimal("20.00"),
    "Beguni, two pieces": Decimal("20.00"),
    "Alur Chop, two pieces": Decimal("20.00"),
    "Vegetable Samosa, two pieces": Decimal("30.00"),
    "Chicken Shami Kebab": Decimal("45.00"),
    "Muri Makha": Decimal("30.00"),
    "Medjool Dates, five pieces": Decimal("60.00"),
    "Fruit Chaat": Decimal("50.00"),
    "Jilapi, 100 g": Decimal("25.00"),
    "Firni": Decimal("40.00"),
    "Lemon Sharbat": Decimal("20.00"),
    "Rooh Afza Milk": Decimal("35.00"),
}


async def ensure_demo_data(admin_url: str) -> None:
    """Add missing accounts, and the dishes only while there is no item at all, because operators rename items."""
    async with connected(admin_url) as connection, connection.transaction():
        await _ensure_accounts(connection)
        await _ensure_menu(connection)


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

    async with connected(admin_url) as connection:
        rows = await connection.fetch(
            "SELECT student_id, password_hash FROM identity.users"
            " WHERE student_id = ANY($1) AND disabled_at IS NULL ORDER BY student_id",
            [KITCHEN, OPERATOR],
        )
    return [row["student_id"] for row in rows if is_password_of(PASSWORD, row["password_hash"])]


def _hashed() -> str:
    from cafeteria.identity.password_hashing import hash_password  # noqa: PLC0415 - only when an account is missing

    return hash_password(PASSWORD)


async def _ensure_menu(connection: asyncpg.Connection) -> None:
    await connection.execute("LOCK TABLE stock.items IN SHARE ROW EXCLUSIVE MODE")  # two bootstraps at once
    if await connection.fetchval("SELECT EXISTS (SELECT FROM stock.items)"):
        return
    at = now()
    dishes = [(new_id(), name, price) for name, price in MENU.items()]
    await connection.executemany(
        "INSERT INTO stock.items (id, name, price, created_at, on_sale) VALUES ($1, $2, $3, $4, true)",
        [(*dish, at) for dish in dishes],
    )
    await connection.executemany(
        "INSERT INTO stock.inventory (id, item_id, quantity, version, updated_at) VALUES ($1, $2, $3, 1, $4)",
        [(new_id(), item_id, PORTIONS, at) for item_id, *_ in dishes],
    )
    await connection.executemany(
        "INSERT INTO stock.restocks (id, item_id, quantity, actor, created_at) VALUES ($1, $2, $3, $4, $5)",
        [(new_id(), item_id, PORTIONS, ACTOR, at) for item_id, *_ in dishes],
    )


_ACCOUNTS: dict[Role, tuple[str, ...]] = {
    Role.STUDENT: STUDENTS,
    Role.KITCHEN: (KITCHEN,),
    Role.OPERATOR: (OPERATOR,),
}
