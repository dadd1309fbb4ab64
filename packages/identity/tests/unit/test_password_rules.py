"""Which new passwords are accepted, and what a one-time password looks like."""

import math
import re
import sys

import pytest

from cafeteria.contracts.identity import MIN_PASSWORD_LENGTH
from cafeteria.identity.errors import PasswordFault, UnusablePassword
from cafeteria.identity.password_rules import (
    ONE_TIME_ALPHABET,
    ONE_TIME_GROUP_LENGTH,
    ONE_TIME_GROUPS,
    PasswordRules,
    new_one_time_password,
)

STUDENT = "210041101"
LEAST_BITS = 60


@pytest.fixture(scope="module")
def rules() -> PasswordRules:
    return PasswordRules.load()


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("long-enough", None),
        ("correct horse battery staple", None),
        ("aaaaaaaaaaaaaaaaaaa-b", None),
        ("x" * 256, None),
        ("short", PasswordFault.LENGTH),
        ("", PasswordFault.LENGTH),
        ("x" * 257, PasswordFault.LENGTH),
        ("\u00e4" * 200, PasswordFault.LENGTH),
        ("password", PasswordFault.COMMON),
        ("PassWord", PasswordFault.COMMON),
        ("12345678", PasswordFault.COMMON),
        ("1234567890", PasswordFault.COMMON),
        ("qwertyuiop", PasswordFault.COMMON),
        ("\uff30\uff21\uff33\uff33\uff37\uff2f\uff32\uff24", PasswordFault.COMMON),
        (STUDENT, PasswordFault.STUDENT_ID),
        (f"{STUDENT}!", PasswordFault.STUDENT_ID),
        (f"x{STUDENT}26", PasswordFault.STUDENT_ID),
        (f"{STUDENT}-and-more", None),
    ],
    ids=ascii,
)
def test_a_new_password(rules: PasswordRules, password: str, fault: PasswordFault | None) -> None:
    assert rules.fault_of(password, student_id=STUDENT) is fault


def test_an_id_is_no_password_in_any_case_and_a_short_one_forbids_no_letters(rules: PasswordRules) -> None:
    assert rules.fault_of("OPERATOR-1", student_id="operator-1") is PasswordFault.STUDENT_ID
    assert rules.fault_of("papaya-banana", student_id="a") is None


def test_another_spelling_of_the_old_password_is_no_new_one(rules: PasswordRules) -> None:
    with pytest.raises(UnusablePassword, match="that you have now"):
        rules.check_change(old="pa\u0308sswort-1", new="p\u00e4sswort-1", student_id=STUDENT)
    rules.check_change(old="pa\u0308sswort-1", new="p\u00e4sswort-2", student_id=STUDENT)


def test_a_refusal_says_why_and_which_field_but_not_the_password(rules: PasswordRules) -> None:
    with pytest.raises(UnusablePassword) as refused:
        rules.check("iloveyou", student_id=STUDENT, field="new_password")
    assert refused.value.errors == (f"body.new_password: {PasswordFault.COMMON}",)
    assert "iloveyou" not in refused.value.detail


def test_the_list_has_more_than_the_3000_passwords_that_asvs_asks_for(rules: PasswordRules) -> None:
    common = rules._common
    assert len(common) > 10_000
    assert all(len(each) >= MIN_PASSWORD_LENGTH and each == each.casefold() for each in common)
    assert sys.getsizeof(common) + sum(map(sys.getsizeof, common)) < 2 << 20


def test_a_one_time_password_can_be_read_out_and_not_be_guessed() -> None:
    made = {new_one_time_password() for _ in range(1000)}
    assert len(made) == 1000
    group = f"[{ONE_TIME_ALPHABET}]{{{ONE_TIME_GROUP_LENGTH}}}"
    assert all(re.fullmatch(f"{group}(-{group}){{{ONE_TIME_GROUPS - 1}}}", each) for each in made)
    assert not set("01ilo") & set(ONE_TIME_ALPHABET)
    assert math.log2(len(ONE_TIME_ALPHABET)) * ONE_TIME_GROUPS * ONE_TIME_GROUP_LENGTH > LEAST_BITS
