"""Tables that a replay must not change are compared column by column."""

from cafeteria.rush.replay import differences

BEFORE = {"gateway.orders": {"id": (2, 11), "status": (2, 22)}, "stock.items": {}}


def test_equal_contents_have_no_difference() -> None:
    assert list(differences(BEFORE, BEFORE)) == []


def test_a_changed_value_is_reported_with_its_column() -> None:
    after = {**BEFORE, "gateway.orders": {"id": (2, 11), "status": (2, 23)}}
    assert list(differences(BEFORE, after)) == ["gateway.orders has other values than before in status"]


def test_a_row_more_is_reported_with_its_table() -> None:
    after = {**BEFORE, "gateway.orders": {"id": (3, 12), "status": (3, 24)}}
    assert list(differences(BEFORE, after)) == ["gateway.orders had 2 rows and has 3"]


def test_the_first_row_of_an_empty_table_is_reported() -> None:
    after = {**BEFORE, "stock.items": {"id": (1, 5)}}
    assert list(differences(BEFORE, after)) == ["stock.items had 0 rows and has 1"]
