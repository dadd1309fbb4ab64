"""The stack removes what it made, and nothing else, whatever its folders are and whatever lies beside them."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from cafeteria.local_stack import ownership
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.ownership import CONTENT, MARKER
from cafeteria.provisioning.credentials import Credentials
from cafeteria.provisioning.errors import SettingError, StackError


@pytest.fixture
def home(tmp_path: Path) -> DataDirectory:
    return DataDirectory(root=tmp_path / "canteen")


def fill(home: DataDirectory) -> None:
    """As a start leaves it."""
    home.create()
    Credentials.ensure(home.secrets)
    ownership.claim(home.postgres)
    for path in (home.postgres / "base" / "1", home.nats / "store" / "jetstream"):
        path.mkdir(parents=True)
    for path in (home.postgres / "PG_VERSION", home.postgres / "cafeteria.conf", home.nats / "nats.conf"):
        path.write_text("18\n")
    (home.logs / "gateway.log").write_text("a line\n")


def without_markers(home: DataDirectory) -> None:
    """As version 0.1 left it."""
    for name in CONTENT:
        (home.root / name / MARKER).unlink()


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def move_and_link(folder: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(target)
    folder.symlink_to(target)


def test_what_was_made_is_removed_and_made_again(home: DataDirectory) -> None:
    fill(home)
    assert home.wipe() == []
    assert tree(home.root) == {"running"}
    fill(home)
    assert home.wipe() == []
    assert home.wipe() == []


@pytest.mark.parametrize("name", CONTENT)
def test_of_a_link_the_content_goes_and_neighbours_stay(
    home: DataDirectory, tmp_path: Path, name: str
) -> None:
    fill(home)
    disk = tmp_path / "disk"
    move_and_link(home.root / name, disk / "data")
    (disk / "holiday.jpg").touch()
    (disk / "photos").mkdir()
    home.create()
    assert home.wipe() == []
    assert tree(disk) == {"data", "holiday.jpg", "photos"}
    assert (home.root / name).is_symlink()
    fill(home)
    assert (disk / "data" / MARKER).exists()


@pytest.mark.parametrize("name", CONTENT)
def test_a_link_to_somebody_elses_folder_is_refused_and_nothing_is_removed(
    home: DataDirectory, tmp_path: Path, name: str
) -> None:
    fill(home)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "PG_VERSION").write_text("18\n")
    (home.root / name).rename(tmp_path / "moved away")
    (home.root / name).symlink_to(tmp_path / "elsewhere")
    before = tree(tmp_path)
    for refused in (home.create, home.wipe):
        with pytest.raises(SettingError, match=name):
            refused()
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", CONTENT)
def test_a_link_to_nothing_is_refused(home: DataDirectory, tmp_path: Path, name: str) -> None:
    fill(home)
    move_and_link(home.root / name, tmp_path / "disk" / "data")
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    for refused in (home.create, home.wipe):
        with pytest.raises(SettingError, match="mount its disk"):
            refused()
    assert not (tmp_path / "disk").exists()


def test_a_home_that_is_a_link_to_nothing_is_refused(home: DataDirectory) -> None:
    home.root.symlink_to("nowhere")
    for refused in (home.create, home.wipe):
        with pytest.raises(SettingError, match="mount its disk"):
            refused()


def test_a_home_that_is_a_link_works(home: DataDirectory, tmp_path: Path) -> None:
    (tmp_path / "disk" / "canteen").mkdir(parents=True)
    (tmp_path / "disk" / "photos").mkdir()
    home.root.symlink_to(tmp_path / "disk" / "canteen")
    fill(home)
    home.wipe()
    assert tree(tmp_path / "disk") == {"canteen", "canteen/running", "photos"}


def test_a_database_whose_disk_is_away_is_no_empty_one(home: DataDirectory, tmp_path: Path) -> None:
    """A mount point is there without its disk, and empty."""
    fill(home)
    move_and_link(home.postgres, tmp_path / "disk")
    home.database_record.write_text(f"{tmp_path / 'disk'}\n")
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    (tmp_path / "disk").mkdir()
    with pytest.raises(SettingError, match="is empty now"):
        home.create()
    home.wipe()
    home.create()


def test_what_lies_among_it_stays_and_is_named(home: DataDirectory) -> None:
    fill(home)
    foreign = [home.root / name / "notes.txt" for name in CONTENT] + [home.postgres / "pg_dump.sql"]
    for path in foreign:
        path.write_text("mine")
    beside = home.root / "compose" / "nats.conf"
    beside.parent.mkdir()
    beside.touch()
    assert sorted(home.wipe()) == sorted(foreign)
    assert all(path.exists() for path in (*foreign, beside))
    home.create()


def test_links_inside_are_removed_and_not_followed(home: DataDirectory, tmp_path: Path) -> None:
    fill(home)
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "file").touch()
    (home.postgres / "pg_wal").symlink_to(disk)
    (home.nats / "store").rename(tmp_path / "store")
    (home.nats / "store").symlink_to(disk)
    (home.logs / "stock.log").symlink_to(disk / "file")
    assert home.wipe() == []
    assert tree(disk) == {"file"}


@pytest.mark.parametrize("name", CONTENT)
def test_folders_of_somebody_else_are_neither_used_nor_removed(home: DataDirectory, name: str) -> None:
    theirs = home.root / name / "mine"
    theirs.mkdir(parents=True)
    mode = stat.S_IMODE(home.root.stat().st_mode)
    for refused in (home.create, home.wipe):
        with pytest.raises(SettingError, match=name):
            refused()
    assert tree(home.root) == {name, f"{name}/mine"}
    assert stat.S_IMODE(home.root.stat().st_mode) == mode


def test_a_lock_of_somebody_else_is_not_written_over(home: DataDirectory, tmp_path: Path) -> None:
    home.create()
    home.lock.write_text("a diary of my running\n")
    with pytest.raises(SettingError, match="running"), home.held():
        pass
    home.lock.unlink()
    home.lock.symlink_to(tmp_path / "diary")
    with pytest.raises(SettingError, match="running"), home.held():
        pass
    assert not (tmp_path / "diary").exists()


@pytest.mark.parametrize("root", ["/", "the home folder"])
def test_a_folder_where_everything_lies_is_no_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    home = DataDirectory(root=Path("/") if root == "/" else tmp_path)
    for refused in (home.create, home.wipe):
        with pytest.raises(SettingError, match="CAFETERIA_HOME"):
            refused()
    assert tree(tmp_path) == set()


def test_data_of_the_first_version_is_marked_by_a_start(home: DataDirectory) -> None:
    fill(home)
    without_markers(home)
    with pytest.raises(SettingError, match="by its next start"):
        home.wipe()
    home.create()
    assert home.wipe() == []
    assert tree(home.root) == {"running"}


def test_somebody_elses_database_behind_a_home_of_the_first_version_is_not_marked(
    home: DataDirectory,
) -> None:
    fill(home)
    without_markers(home)
    (home.postgres / "cafeteria.conf").unlink()
    with pytest.raises(SettingError, match="postgres"):
        home.create()
    assert not (home.postgres / MARKER).exists()


def test_a_disk_inside_is_not_touched(home: DataDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(home)
    mounted = type("Partition", (), {"mountpoint": str((home.nats / "store").resolve())})
    monkeypatch.setattr(ownership.psutil, "disk_partitions", lambda **_: [mounted])
    before = tree(home.root)
    with pytest.raises(StackError, match="unmount it first"):
        home.wipe()
    assert tree(home.root) == before


def test_a_removal_that_was_cut_short_anywhere_can_be_repeated_or_started_on(
    home: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PG_VERSION goes before the rest of a database, or a start would take what is left for a whole one."""
    removed, remove = 0, ownership._remove

    def cut_short(after: int) -> Callable[[Path], None]:
        def remove_some(path: Path) -> None:
            nonlocal removed
            if removed == after:
                raise KeyboardInterrupt
            removed += 1
            remove(path)

        return remove_some

    for after in range(30):
        fill(home)
        removed = 0
        monkeypatch.setattr(ownership, "_remove", cut_short(after))
        try:
            home.wipe()
        except KeyboardInterrupt:
            if not (home.postgres / "base").exists():
                assert not (home.postgres / "PG_VERSION").exists()
            home.create()
        else:
            break
        monkeypatch.setattr(ownership, "_remove", remove)
        home.wipe()
        assert tree(home.root) == {"running"}
    assert after > len(CONTENT)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_do_not_depend_on_the_umask(home: DataDirectory, umask: int) -> None:
    before = os.umask(umask)
    try:
        fill(DataDirectory(root=home.root / "inner"))
    finally:
        os.umask(before)
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o755
    assert_private(DataDirectory(root=home.root / "inner"))


def test_what_is_open_to_others_is_closed_by_a_start(home: DataDirectory) -> None:
    fill(home)
    for path in (home.root, *home.root.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    home.create()
    assert_private(home)
    open_files = [path for path in home.root.rglob("*") if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert open_files == []


def assert_private(home: DataDirectory) -> None:
    """Under root another user passes through the home to Postgres' data."""
    passable = 0o711 if os.geteuid() == 0 else 0o700
    assert stat.S_IMODE(home.root.stat().st_mode) == passable
    assert {stat.S_IMODE((home.root / name).stat().st_mode) for name in CONTENT} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.secrets.iterdir()} == {0o600}


def test_a_folder_with_files_of_others_keeps_its_mode(home: DataDirectory) -> None:
    home.root.mkdir()
    (home.root / "photos").mkdir()
    home.root.chmod(0o755)
    home.create()
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o755
