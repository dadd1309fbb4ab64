"""Convert rows to values."""

from cafeteria.chassis.database.statement import Row
from cafeteria.contracts.values import Role
from cafeteria.identity.domain import Account


def to_account(row: Row) -> Account:
    return Account(
        user_id=row.user_id,
        student_id=row.student_id,
        role=Role(row.role),
        password_hash=row.password_hash,
        is_disabled=row.is_disabled,
        full_name=row.full_name,
        one_time_until=row.one_time_until,
    )
