"""Create the accounts of a CSV file: `python -m cafeteria.identity.import_students FILE`, and with `--apply` for good.

It needs the database alone, with identity's own role. A refused line refuses the whole file: nothing is half done.
"""

import argparse
import asyncio
import csv
import io
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TypeVar

import msgspec

from cafeteria.chassis.database.database import Database
from cafeteria.chassis.database.errors import DatabaseUnavailable
from cafeteria.chassis.runtime.clock import now
from cafeteria.chassis.runtime.ids import new_id
from cafeteria.chassis.runtime.settings import DatabaseSettings, SettingsError, load_settings
from cafeteria.contracts.subjects import IDENTITY
from cafeteria.identity.password_hashing import hash_password, usable_cores
from cafeteria.identity.password_rules import PasswordRules, new_one_time_password
from cafeteria.identity.repository.import_students import NewAccount
from cafeteria.identity.students_csv import NewStudent, StudentsFile, UnreadableFile, read_students
from cafeteria.identity.use_cases.import_students import ImportStudents, hash_all

EXIT_REFUSED, EXIT_UNUSABLE, EXIT_INTERRUPTED = 1, 2, 130
DEFAULT_VALID_DAYS = 30  # a term begins over weeks, and these passwords are handed out on paper
PROGRESS_EVERY_S = 5.0

T = TypeVar("T")


class ImportFailed(Exception):
    """The import ends; the text says what happened, what was kept and what to do."""

    exit_code = EXIT_REFUSED


class Unusable(ImportFailed):
    """A file or a setting cannot be used."""

    exit_code = EXIT_UNUSABLE


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts to create. A password of None becomes a one-time password, valid for `valid_days`."""

    students: tuple[NewStudent, ...]
    passwords_file: Path
    valid_days: int

    def needs_one_time_passwords(self) -> bool:
        return any(each.password is None for each in self.students)


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run the command; return its exit code."""
    arguments = _arguments(argv)
    try:
        settings = load_settings(DatabaseSettings, environ)
        plan = _plan(arguments, settings)
        if not plan.students:
            _say("There is nothing to import.")
        elif arguments.apply:
            _apply(plan, settings)
        else:
            _say("Nothing was changed. Add --apply to create the accounts.")
    except SettingsError as error:
        return _refused(str(error), EXIT_UNUSABLE)
    except ImportFailed as error:
        return _refused(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _refused("Interrupted: no account was created.", EXIT_INTERRUPTED)
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="import-students", description="Create accounts from a CSV file.")
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="columns: student_id, full_name, role, password"
    )
    parser.add_argument(
        "--apply", action="store_true", help="create the accounts; without it nothing is changed"
    )
    parser.add_argument("--passwords", type=Path, metavar="FILE", help="a new file for one-time passwords")
    parser.add_argument(
        "--valid-days", type=_days, default=DEFAULT_VALID_DAYS, help="how long these are valid"
    )
    return parser.parse_args(argv)


def _days(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 365):  # noqa: PLR2004 - a year
        raise argparse.ArgumentTypeError(f"it must be a number of days from 1 to 365, not {text!r}")
    return int(text)


def _plan(arguments: argparse.Namespace, settings: DatabaseSettings) -> Plan:
    """Read the file and print what would happen. Raises ImportFailed if a line was refused."""
    found = _read(arguments.file)
    existing = _with_import(
        settings, lambda run: run.existing_ids([each.profile.student_id for each in found.students])
    )
    new = tuple(each for each in found.students if each.profile.student_id not in existing)
    for each in found.students:
        if each.profile.student_id in existing:
            _say(f"line {each.line}: {each.profile.student_id} has an account already, which stays as it is")
    plan = Plan(
        students=new,
        passwords_file=arguments.passwords or arguments.file.with_suffix(".one-time-passwords.csv"),
        valid_days=arguments.valid_days,
    )
    _describe(plan, existing=len(existing), refused=len(found.refusals))
    if found.refusals:
        raise ImportFailed("No account was created. Correct the refused lines, and import the file again.")
    _refuse_existing_file(plan)
    return plan


def _read(path: Path) -> StudentsFile:
    """Read the file and print its refusals. Raises Unusable."""
    try:
        found = read_students(path.read_bytes(), PasswordRules.load())
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}.") from None
    except UnreadableFile as fault:
        raise Unusable(f"{path}: {fault} Nothing was changed.") from None
    for refusal in found.refusals:
        _say(f"line {refusal.line}: refused: {refusal.reason}")
    return found


def _describe(plan: Plan, *, existing: int, refused: int) -> None:
    without = sum(each.password is None for each in plan.students)
    _say(
        f"To create: {_accounts(len(plan.students))}, of which {without} with a one-time password. "
        f"There already: {existing}. Refused lines: {refused}."
    )
    started = monotonic()
    hash_password(new_one_time_password())
    _say(f"Hashing the passwords takes {_duration(_estimate_s(len(plan.students), monotonic() - started))}.")


def _accounts(number: int) -> str:
    return "1 account" if number == 1 else f"{number} accounts"


def _estimate_s(passwords: int, one_s: float) -> float:
    return passwords * one_s / usable_cores()


def _duration(seconds: float) -> str:
    return f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {max(1, seconds):.0f} s"  # noqa: PLR2004 - 1.5 minutes read better in seconds


def _refuse_existing_file(plan: Plan) -> None:
    if plan.needs_one_time_passwords() and plan.passwords_file.exists():
        raise Unusable(
            f"{plan.passwords_file} exists, and may have passwords that people still need: move it away, or name "
            "another file with --passwords. No account was created."
        )


def _apply(plan: Plan, settings: DatabaseSettings) -> None:
    passwords = [each.password or new_one_time_password() for each in plan.students]
    hashes = _hashed(passwords)
    until = now() + timedelta(days=plan.valid_days)
    accounts = [
        _account(student, password_hash, until)
        for student, password_hash in zip(plan.students, hashes, strict=True)
    ]
    one_time = {
        student.profile.student_id: password
        for student, password in zip(plan.students, passwords, strict=True)
        if student.password is None
    }
    write = partial(_write_passwords, plan.passwords_file, one_time)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the next seconds decide: the outcome must be known
    created = _stored(plan, accounts, settings, write)
    _say(f"Created: {_accounts(len(created))}.")
    if skipped := len(accounts) - len(created):
        _say(f"{_accounts(skipped)} was created by somebody else meanwhile, and stays as it is.")
    if one_time.keys() & created:
        _say(
            f"{plan.passwords_file} has the one-time passwords, valid until {until:%Y-%m-%d %H:%M} UTC. Only you can "
            "read it: hand them out, then delete it."
        )


def _hashed(passwords: Sequence[str]) -> list[str]:
    """Hash all passwords on all cores, with a line about the progress every few seconds."""
    hashes: list[str] = []
    started = reported = monotonic()
    for password_hash in hash_all(passwords, threads=usable_cores()):
        hashes.append(password_hash)
        if monotonic() - reported > PROGRESS_EVERY_S:
            reported = monotonic()
            left_s = (reported - started) / len(hashes) * (len(passwords) - len(hashes))
            _say(f"{len(hashes)} of {len(passwords)} passwords are hashed, {_duration(left_s)} left.")
    return hashes


def _account(student: NewStudent, password_hash: str, until: datetime) -> NewAccount:
    return NewAccount(
        user_id=new_id(),
        profile=student.profile,
        password_hash=password_hash,
        one_time_until=until if student.password is None else None,
    )


def _stored(
    plan: Plan,
    accounts: Sequence[NewAccount],
    settings: DatabaseSettings,
    write: Callable[[set[str]], None],
) -> set[str]:
    """Store all accounts, or none. Raises ImportFailed."""
    is_written = False

    def before_commit(created: set[str]) -> None:
        nonlocal is_written
        write(created)
        is_written = True

    try:
        return _with_import(settings, lambda run: run(accounts, before_commit=before_commit))
    except ImportFailed:
        if not is_written:
            raise
        raise ImportFailed(
            "The database went away at the end, so it is unknown whether the accounts exist. Import the file again: "
            f"if they exist, it says so, and their one-time passwords are in {plan.passwords_file}."
        ) from None


def _write_passwords(path: Path, passwords: Mapping[str, str], created: set[str]) -> None:
    """Write the one-time passwords of the created accounts to a new file, for its owner alone. Raises Unusable."""
    rows = sorted((student_id, passwords[student_id]) for student_id in created & passwords.keys())
    if not rows:
        return
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([("student_id", "one_time_password"), *rows])
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o600)
            file.write(text.getvalue())
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise Unusable(f"{path} cannot be written: {error.strerror}. No account was created.") from None


def _with_import(settings: DatabaseSettings, use: Callable[[ImportStudents], Awaitable[T]]) -> T:
    """Open the database for one step. Raises ImportFailed while it does not answer."""

    async def step() -> T:
        database = Database.connect(settings, service=IDENTITY, pool_size=1)
        try:
            return await use(ImportStudents(database))
        finally:
            await database.close()

    try:
        return asyncio.run(step())
    except DatabaseUnavailable as error:
        raise ImportFailed(f"{error.detail} No account was created. Try again when it answers.") from None


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is a command line


def _refused(sentence: str, exit_code: int) -> int:
    print(sentence, file=sys.stderr)  # noqa: T201 - this is a command line
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
