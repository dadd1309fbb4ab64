"""Judge new passwords, and make one-time passwords.

A new password is long enough, is not common, and is not the student id. Rules of composition are absent on purpose: they
make a password harder to remember and no harder to guess (OWASP ASVS 5.0, 6.2.5).
"""

from functools import cache
from secrets import choice
from typing import Self

from cafeteria.contracts.identity import MIN_PASSWORD_LENGTH
from cafeteria.identity.domain import has_usable_length, is_common, is_nearly, password_form
from cafeteria.identity.errors import PasswordFault, UnusablePassword

ONE_TIME_ALPHABET = (
    "23456789abcdefghjkmnpqrstuvwxyz"  # without characters that look like others: 0 and o, 1, i and l
)
ONE_TIME_GROUPS = 4
ONE_TIME_GROUP_LENGTH = 4
"""16 characters of 31 are 79 random bits: as many guesses as are possible in the lifetime find none."""


class PasswordRules:
    """The rules with their list of common passwords. The list is 1.2 MiB; its package takes 14 MiB in all."""

    def __init__(self, common: frozenset[str]) -> None:
        """`common` has passwords in the form of `password_form`, in lower case."""
        self._common = common

    @classmethod
    def load(cls) -> Self:
        """Read the list, once in a process and in 50 ms."""
        return cls(_common_passwords())

    def fault_of(self, password: str, *, student_id: str) -> PasswordFault | None:
        """Return why the password cannot be the new one of `student_id`, or None."""
        if not has_usable_length(password):
            return PasswordFault.LENGTH
        if is_common(password, self._common):
            return PasswordFault.COMMON
        return PasswordFault.STUDENT_ID if is_nearly(password, student_id) else None

    def check(self, password: str, *, student_id: str, field: str = "password") -> None:
        """Raise UnusablePassword unless the password may be used; `field` is its name in the request."""
        if fault := self.fault_of(password, student_id=student_id):
            raise UnusablePassword(fault, field=field)

    def check_change(self, *, old: str, new: str, student_id: str) -> None:
        """Raise UnusablePassword unless `new` may replace `old`; all spellings of a password are the same password."""
        self.check(new, student_id=student_id, field="new_password")
        if password_form(old) == password_form(new):
            raise UnusablePassword(PasswordFault.SAME, field="new_password")


@cache
def _common_passwords() -> frozenset[str]:
    """Return the 11,600 passwords of 30,000 common ones that have the least length."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415 - a large module, which few callers need

    passwords = map(password_form, FREQUENCY_LISTS["passwords"])
    return frozenset(each.casefold() for each in passwords if len(each) >= MIN_PASSWORD_LENGTH)


def new_one_time_password() -> str:
    """Return a random password that can be read out, as `k7mp-x2qd-9rhv-w4bt`."""
    groups = (
        "".join(map(choice, [ONE_TIME_ALPHABET] * ONE_TIME_GROUP_LENGTH)) for _ in range(ONE_TIME_GROUPS)
    )
    return "-".join(groups)
