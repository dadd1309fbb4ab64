"""Read a CSV file of students. A line that cannot become an account is refused with its number and the reason.

Spreadsheets write such files with or without a byte order mark, with commas, semicolons or tabs. No text of a refusal
has a password.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from cafeteria.contracts.identity import MAX_NAME_LENGTH
from cafeteria.contracts.values import Role
from cafeteria.identity.domain import Profile, is_student_id, read_name
from cafeteria.identity.errors import UnusableName
from cafeteria.identity.password_rules import PasswordRules

REQUIRED = ("student_id", "full_name")
COLUMNS = (*REQUIRED, "role", "password")
_SEPARATORS = ",;\t"


class UnreadableFile(Exception):
    """The file as a whole cannot be read; the text says where and what to do."""


class NewStudent(msgspec.Struct, frozen=True, kw_only=True):
    """A line that can become an account. Without `password` it needs a one-time password."""

    line: int
    profile: Profile
    password: str | None


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A line that cannot become an account; `reason` is a clause for a person."""

    line: int
    reason: str


class StudentsFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a file. Lines count from 1, the header's; a record of several lines has the number of its first."""

    students: tuple[NewStudent, ...]
    refusals: tuple[Refusal, ...]


class _UnusableValue(Exception):
    """A value of a line cannot be used; the text is the reason."""


def read_students(content: bytes, rules: PasswordRules) -> StudentsFile:
    """Read the whole file. Raises UnreadableFile for bytes that are no text, a broken header, or a broken quotation."""
    students: list[NewStudent] = []
    refusals: list[Refusal] = []
    first_lines: dict[str, int] = {}
    for line, values in _records(_text_of(content)):
        try:
            student = _student_of(line, values, rules)
            _require_first(student, first_lines)
        except _UnusableValue as fault:
            refusals.append(Refusal(line=line, reason=str(fault)))
        else:
            students.append(student)
    return StudentsFile(students=tuple(students), refusals=tuple(refusals))


def _require_first(student: NewStudent, first_lines: dict[str, int]) -> None:
    """Raises _UnusableValue for a student id of an earlier line."""
    first_line = first_lines.setdefault(student.profile.student_id, student.line)
    if first_line != student.line:
        raise _UnusableValue(f"{student.profile.student_id} is already in line {first_line}")


def _text_of(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableFile(
            f"Line {line} has bytes that are not UTF-8 text. Save the file as CSV in UTF-8, and try again."
        ) from None


def _records(text: str) -> Iterator[tuple[int, Sequence[str] | Mapping[str, str]]]:
    """Yield each record's first line with its values by column, or with its cells if their number is wrong."""
    header_line = text.partition("\n")[0]
    separator = next((each for each in header_line if each in _SEPARATORS), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    columns: list[str] = []
    line = 1
    try:
        for cells in reader:
            if not columns:
                columns = _checked_header(cells)
            elif any(map(str.strip, cells)):
                is_whole = len(cells) == len(columns)
                yield line, dict(zip(columns, cells, strict=True)) if is_whole else cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise UnreadableFile(f"The record that begins in line {line} is no CSV: {error}.") from None
    if not columns:
        raise UnreadableFile(f"The file is empty: its first line must name the columns {', '.join(COLUMNS)}.")


def _checked_header(cells: Sequence[str]) -> list[str]:
    columns = [cell.strip().lower() for cell in cells]
    faults = [f"`{name}` is missing" for name in REQUIRED if name not in columns]
    faults += [f"`{name}` is unknown" for name in columns if name not in COLUMNS]
    faults += [f"`{name}` is there twice" for name in COLUMNS if columns.count(name) > 1]
    if faults:
        raise UnreadableFile(
            f"Line 1 must name the columns {', '.join(COLUMNS)}; the last two may be absent. {'; '.join(faults)}."
        )
    return columns


def _student_of(line: int, values: Sequence[str] | Mapping[str, str], rules: PasswordRules) -> NewStudent:
    """Raises _UnusableValue."""
    if not isinstance(values, Mapping):
        raise _UnusableValue(f"it has {len(values)} cells, another number than the header")
    student_id = values["student_id"].strip()
    if not is_student_id(student_id):
        raise _UnusableValue("the student_id must be 1 to 32 letters, digits and hyphens")
    profile = Profile(
        student_id=student_id, role=_role(values.get("role", "")), full_name=_full_name(values["full_name"])
    )
    password = values.get("password", "")
    if not password.strip():
        return NewStudent(line=line, profile=profile, password=None)
    if fault := rules.fault_of(password, student_id=student_id):
        raise _UnusableValue(f"the password cannot be used: {fault}")
    return NewStudent(line=line, profile=profile, password=password)


def _role(cell: str) -> Role:
    try:
        return Role(cell.strip().lower() or Role.STUDENT)
    except ValueError:
        raise _UnusableValue(f"the role must be {', '.join(Role)}, or empty for a student") from None


def _full_name(cell: str) -> str | None:
    if not cell.strip():
        return None
    if len(cell) > MAX_NAME_LENGTH:
        raise _UnusableValue(f"the full_name is longer than {MAX_NAME_LENGTH} characters")
    try:
        return read_name(cell)
    except UnusableName as fault:
        raise _UnusableValue(f"the full_name cannot be kept: {fault.fault}") from None
