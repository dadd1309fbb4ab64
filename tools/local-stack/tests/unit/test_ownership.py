"""The stack removes only the files that it created, whatever its folders are and contain."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cafeteria.local_stack import ownership
from cafeteria.local_stack.data_directory import DataDirectory
from cafeteria.local_stack.ownership import CONTENT, MARKER
from cafeteria.provisioning.credentials import Credentials
from cafeteria.provisioning.errors import SettingError, StackError


@pytest.fixture
def home(tmp_path: Path) -> DataDirectory:
    return DataDirectory(root=tmp_path / "data")


def create_files(home: DataDirectory) -> None:
    """Create the files of a started stack."""
    home.create()
    Credentials.ensure(home.secrets)
    ownership.claim(home.postgres)
    for path in (
        home.postgres / "base" / "1",
        home.nats / "store" / "jetstream",
        home.edge / "data" / "caddy",
    ):
        path.mkdir(parents=True)
    for path in (home.postgres / "PG_VERSION", home.postgres / "cafeteria.conf", home.nats / "nats.conf"):
        path.write_text("18\n")
    (home.logs / "gateway.log").write_text("a line\n")


def remove_markers(home: DataDirectory) -> None:
    """Remove the markers, which version 0.1 did not have."""
    for name in CONTENT:
        (home.root / name / MARKER).unlink()


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def move_and_link(folder: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(target)
    folder.symlink_to(target)


def test_the_stacks_files_are_removed_and_can_be_created_again(home: DataDirectory) -> None:
    create_files(home)
    assert home.wipe() == []
    assert tree(home.root) == {"running"}
    create_files(home)
    assert home.wipe() == []
    assert home.wipe() == []


@pytest.mark.parametrize("name", CONTENT)
def test_a_linked_folder_is_emptied_and_its_neighbours_stay(
    home: DataDirectory, tmp_path: Path, name: str
) -> None:
    create_files(home)
    disk = tmp_path / "disk"
    move_and_link(home.root / name, disk / "data")
    (disk / "holiday.jpg").touch()
    (disk / "photos").mkdir()
    home.create()
    assert home.wipe() == []
    assert tree(disk) == {"data", "holiday.jpg", "photos"}
    assert (home.root / name).is_symlink()
    create_files(home)
    assert (disk / "data" / MARKER).exists()


@pytest.mark.parametrize("name", CONTENT)
def test_a_link_to_a_foreign_folder_is_refused_and_nothing_is_removed(
    home: DataDirectory, tmp_path: Path, name: str
) -> None:
    create_files(home)
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
def test_a_broken_link_is_refused(home: DataDirectory, tmp_path: Path, name: str) -> None:
    create_files(home)
    move_and_link(home.root / name, tmp_path / "disk" / "data")
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    for refused in (home.create, home.wipe):
        with pytest.raises(SettingError, match="mount its disk"):
            refused()
    assert not (tmp_path / "disk").exists()


def test_a_data_directory_that_is_a_broken_link_is_refused(home: DataDirectory) -> None:
    home.root.symlink_to("nowhere")
    for refused in (home.create, home.wipe):
        with pytest.raises(SettingError, match="mount its disk"):
            refused()


def test_a_data_directory_may_be_a_link(home: DataDirectory, tmp_path: Path) -> None:
    (tmp_path / "disk" / "stack").mkdir(parents=True)
    (tmp_path / "disk" / "photos").mkdir()
    home.root.symlink_to(tmp_path / "disk" / "stack")
    create_files(home)
    home.wipe()
    assert tree(tmp_path / "disk") == {"stack", "stack/running", "photos"}


def test_a_database_on_an_unmounted_disk_is_not_replaced(home: DataDirectory, tmp_path: Path) -> None:
    """A mount point without its disk is an empty folder."""
    create_files(home)
    move_and_link(home.postgres, tmp_path / "disk")
    home.database_record.write_text(f"{tmp_path / 'disk'}\n")
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    (tmp_path / "disk").mkdir()
    with pytest.raises(SettingError, match="is empty now"):
        home.create()
    home.wipe()
    home.create()


def test_foreign_files_stay_and_are_named(home: DataDirectory) -> None:
    create_files(home)
    foreign = [home.root / name / "notes.txt" for name in CONTENT] + [home.postgres / "pg_dump.sql"]
    for path in foreign:
        path.write_text("mine")
    beside = home.root / "compose" / "nats.conf"
    beside.parent.mkdir()
    beside.touch()
    assert sorted(home.wipe()) == sorted(foreign)
    assert all(path.exists() for path in (*foreign, beside))
    home.create()


def test_links_inside_a_folder_are_removed_and_not_followed(home: DataDirectory, tmp_path: Path) -> None:
    create_files(home)
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
def test_foreign_folders_are_neither_used_nor_removed(home: DataDirectory, name: str) -> None:
    foreign = home.root / name / "mine"
    foreign.mkdir(parents=True)
    mode = stat.S_IMODE(home.root.stat().st_mode)
    for refused in (home.create, home.wipe):
        with pytest.raises(SettingError, match=name):
            refused()
    assert tree(home.root) == {name, f"{name}/mine"}
    assert stat.S_IMODE(home.root.stat().st_mode) == mode


def test_a_foreign_file_with_the_locks_name_is_not_overwritten(home: DataDirectory, tmp_path: Path) -> None:
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
def test_the_root_and_the_home_folder_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    home = DataDirectory(root=Path("/") if root == "/" else tmp_path)
    for refused in (home.create, home.wipe):
        with pytest.raises(SettingError, match="CAFETERIA_HOME"):
            refused()
    assert tree(tmp_path) == set()


def test_a_start_marks_data_of_version_0_1(home: DataDirectory) -> None:
    create_files(home)
    remove_markers(home)
    with pytest.raises(SettingError, match="next start marks"):
        home.wipe()
    home.create()
    assert home.wipe() == []
    assert tree(home.root) == {"running"}


def test_a_foreign_database_beside_data_of_version_0_1_is_not_marked(
    home: DataDirectory,
) -> None:
    create_files(home)
    remove_markers(home)
    (home.postgres / "cafeteria.conf").unlink()
    with pytest.raises(SettingError, match="postgres"):
        home.create()
    assert not (home.postgres / MARKER).exists()


def test_a_disk_mounted_inside_is_not_removed(home: DataDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    create_files(home)
    mounted = type("Partition", (), {"mountpoint": str((home.nats / "store").resolve())})
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [mounted])
    before = tree(home.root)
    with pytest.raises(StackError, match="unmount it first"):
        home.wipe()
    assert tree(home.root) == before


def test_a_start_and_a_removal_work_after_an_interrupted_removal(
    home: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PG_VERSION is removed first: with it a start would use an incomplete database."""
    removed, remove = 0, ownership._remove

    def interrupted(after: int) -> Callable[[Path], None]:
        def remove_some(path: Path) -> None:
            nonlocal removed
            if removed == after:
                raise KeyboardInterrupt
            removed += 1
            remove(path)

        return remove_some

    for after in range(30):
        create_files(home)
        removed = 0
        monkeypatch.setattr(ownership, "_remove", interrupted(after))
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
        create_files(DataDirectory(root=home.root / "inner"))
    finally:
        os.umask(before)
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o755
    assert_private(DataDirectory(root=home.root / "inner"))


def test_a_start_removes_others_access(home: DataDirectory) -> None:
    create_files(home)
    for path in (home.root, *home.root.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    home.create()
    assert_private(home)
    open_files = [path for path in home.root.rglob("*") if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert open_files == []


def assert_private(home: DataDirectory) -> None:
    """Check the modes; under root Postgres' user may enter the data directory."""
    passable = 0o711 if os.geteuid() == 0 else 0o700
    assert stat.S_IMODE(home.root.stat().st_mode) == passable
    assert {stat.S_IMODE((home.root / name).stat().st_mode) for name in CONTENT} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.secrets.iterdir()} == {0o600}


def test_a_data_directory_with_foreign_files_keeps_its_mode(home: DataDirectory) -> None:
    home.root.mkdir()
    (home.root / "photos").mkdir()
    home.root.chmod(0o755)
    home.create()
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o755
