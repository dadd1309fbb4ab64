"""Creates the first operator in identity's schema; no service needs to run.

Later operators are created by an operator over HTTP, so a second one needs an explicit `--force`: it is for people
who have lost the last operator's password.
"""

import sys
from pathlib import Path

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.runtime.errors import InvalidRequest, ServiceError
from cafeteria.chassis.runtime.settings import DatabaseSettings, Secret
from cafeteria.contracts.identity import OneTimePassword
from cafeteria.contracts.subjects import IDENTITY
from cafeteria.identity.password_rules import PasswordRules
from cafeteria.identity.use_cases.make_operator import MakeOperator
from cafeteria.provisioning.administrator import connect
from cafeteria.provisioning.errors import ServerUnavailableError, SettingError, StackError
from cafeteria.provisioning.targets import Targets, without_credentials

STANDARD_INPUT = "-"
_ONE_AT_A_TIME = 0x0CAFE8  # the lock of two commands at once


async def make_operator(
    targets: Targets, student_id: str, *, password: str | None, is_forced: bool
) -> OneTimePassword | None:
    """Return the one-time password of an operator without a `password`.

    Raises `SettingError` for an unusable id or password, and `StackError` for an operator that exists.
    """
    settings = DatabaseSettings(
        postgres_url=without_credentials(targets.postgres_url),
        postgres_password=Secret(targets.credentials.postgres_password(IDENTITY)),
    )
    database = Database.connect(settings, service=IDENTITY, pool_size=1)
    make = MakeOperator(database, PasswordRules.load())
    administrator = await connect(targets.postgres_url)
    try:
        async with administrator.transaction():
            await administrator.execute(f"SELECT pg_advisory_xact_lock({_ONE_AT_A_TIME})")
            return await make(student_id, password=password, is_forced=is_forced)
    except DatabaseUnavailable as error:
        raise ServerUnavailableError(f"{error.detail} Run the command again.") from None
    except InvalidRequest as error:
        raise SettingError(f"{error.detail} {'; '.join(error.errors)}") from None
    except ServiceError as error:
        raise StackError(
            f"{error.detail} Add --force to make {student_id} an operator all the same."
        ) from None
    finally:
        await administrator.close()
        await database.close()


def read_password(file: str | None) -> str | None:
    """Return the first line of the file, or of the standard input for `-`. Raises `SettingError`."""
    if file is None:
        return None
    try:
        text = sys.stdin.read() if file == STANDARD_INPUT else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingError(f"--password-file names {file}, which cannot be read: {reason}.") from None
    password = text.partition("\n")[0].removesuffix("\r")
    if not password:
        raise SettingError(f"--password-file names {file}, whose first line is empty.")
    return password
