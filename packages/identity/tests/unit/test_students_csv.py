"""Which files of students are read, and which lines are refused with which reason."""

import pytest

from cafeteria.contracts.values import Role
from cafeteria.identity.password_rules import PasswordRules
from cafeteria.identity.students_csv import StudentsFile, UnreadableFile, read_students

HEADER = "student_id,full_name,role,password\n"
BOM = b"\xef\xbb\xbf"


@pytest.fixture(scope="module")
def rules() -> PasswordRules:
    return PasswordRules.load()


def refused(found: StudentsFile) -> list[tuple[int, str]]:
    return [(each.line, each.reason) for each in found.refusals]


def test_a_line_becomes_an_account(rules: PasswordRules) -> None:
    text = HEADER + "210041101,Ada Lovelace,,\nkitchen-2,  ,kitchen,a-password-of-mine\n"
    found = read_students(text.encode(), rules)
    assert found.refusals == ()
    ada, cook = found.students
    assert (ada.line, ada.profile.student_id, ada.profile.full_name) == (2, "210041101", "Ada Lovelace")
    assert (ada.profile.role, ada.password) == (Role.STUDENT, None)
    assert (cook.line, cook.profile.full_name, cook.profile.role) == (3, None, Role.KITCHEN)
    assert cook.password == "a-password-of-mine"


@pytest.mark.parametrize(
    "content",
    [
        b"student_id,full_name\n210041101,Zo\xc3\xab\n",
        BOM + b"student_id,full_name\r\n210041101,Zo\xc3\xab\r\n",
        b"full_name;student_id\nZo\xc3\xab;210041101",
        b"student_id\tfull_name\n210041101\tZo\xc3\xab\n\n\n",
        b'Student_ID , Full_Name\n"210041101"," Zoe\xcc\x88 "\n',
        BOM + b'student_id,full_name,role,password\n,,,\n210041101,"Zo\xc3\xab",STUDENT,   \n',
    ],
    ids=ascii,
)
def test_the_forms_that_spreadsheets_write(rules: PasswordRules, content: bytes) -> None:
    found = read_students(content, rules)
    assert found.refusals == ()
    [student] = found.students
    assert (student.profile.student_id, student.profile.full_name) == ("210041101", "Zo\u00eb")
    assert (student.profile.role, student.password) == (Role.STUDENT, None)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("no spaces,A,,", "student_id must be"),
        (",A,,", "student_id must be"),
        ("x" * 33 + ",A,,", "student_id must be"),
        ("=1+1,A,,", "student_id must be"),
        ("1,A,king,", "role must be student, kitchen, operator"),
        ("1,\u200b,,", "full_name cannot be kept"),
        ("1,A\x00,,", "full_name cannot be kept"),
        ("1," + "x" * 121 + ",,", "full_name is longer than 120 characters"),
        ("1,A,,short", "it must have 8 to 256 characters"),
        ("1,A,,password1", "one of the most used passwords"),
        ("210041101,A,,210041101!", "it is the student id"),
        ("1,A", "it has 2 cells"),
        ("1,A,,,", "it has 5 cells"),
    ],
    ids=ascii,
)
def test_a_line_that_cannot_become_an_account(rules: PasswordRules, line: str, reason: str) -> None:
    found = read_students(f"{HEADER}2,Fine,,\n{line}\n3,Fine,,\n".encode(), rules)
    assert [student.profile.student_id for student in found.students] == ["2", "3"]
    [(number, why)] = refused(found)
    assert number == 3
    assert reason in why
    assert "password1" not in why


def test_an_id_that_is_there_twice_is_refused_the_second_time(rules: PasswordRules) -> None:
    found = read_students(f"{HEADER}1,A,,\n2,B,,\n1,C,,\n1,D,,\n".encode(), rules)
    assert refused(found) == [(4, "1 is already in line 2"), (5, "1 is already in line 2")]


def test_a_record_has_the_number_of_its_first_line(rules: PasswordRules) -> None:
    found = read_students(f'{HEADER}1,"A\nB",,\n\n"2","C",king,\n'.encode(), rules)
    assert [line for line, _ in refused(found)] == [2, 5]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "The file is empty"),
        (b"\n\n", "Line 1 must name the columns"),
        (BOM, "The file is empty"),
        (b"210041101,Ada\n", "`student_id` is missing"),
        (b"student_id\n1\n", "`full_name` is missing"),
        (b"student_id,full_name,grade\n", "`grade` is unknown"),
        (b"student_id,full_name,student_id\n", "`student_id` is there twice"),
        (HEADER.encode() + b"1,caf\xe9,,\n", "Line 2 has bytes that are not UTF-8"),
        (HEADER.encode().decode().encode("utf-16"), "Line 1 has bytes that are not UTF-8"),
        (b"\x00\xff\x00" * 99, "Line 1 has bytes that are not UTF-8"),
        (HEADER.encode() + b'1,"A,,\n2,B,,\n', "begins in line 2 is no CSV"),
        (HEADER.encode() + b'1,"A"B,,\n', "begins in line 2 is no CSV"),
        (HEADER.encode() + b"1," + b"x" * 200_000 + b",,\n", "begins in line 2 is no CSV"),
    ],
    ids=range(13),
)
def test_a_file_that_cannot_be_read(rules: PasswordRules, content: bytes, why: str) -> None:
    with pytest.raises(UnreadableFile, match=why):
        read_students(content, rules)


def test_a_file_of_50_000_lines_is_read(rules: PasswordRules) -> None:
    lines = "".join(f"{210_000_000 + number},Student {number},,\n" for number in range(50_000))
    assert len(read_students((HEADER + lines).encode(), rules).students) == 50_000
