"""`./just` works with Python and a shell alone, and names in a sentence what is missing where it cannot.

The wrapper runs here with a PATH of its own: the shell's tools, and a python3 and a uv that stand in for the
real ones and note how they were called.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.house

ROOT = Path(__file__).parents[2]
TOOLS = ("sh", "dirname", "mkdir", "mv", "rm", "cat", "chmod", "env")
"""All that the wrapper may use besides Python and uv."""

PYTHON = """#!/bin/sh
# A Python 3.11 whose pip "installs" a uv into the environment or the target
case "$*" in
    *version_info*) exit 0 ;;
    *sys.executable*) echo "$0" ;;
    *"-m venv"*)
        [ -z "${NO_VENV:-}" ] || exit 1
        for folder; do :; done
        mkdir -p "$folder/bin" && cat "$0" > "$folder/bin/python" && chmod +x "$folder/bin/python" ;;
    *"-m pip --version"*) [ -z "${NO_PIP:-}" ] ;;
    *"-m pip"*install*)
        [ -z "${NO_NETWORK:-}" ] || exit 1
        folder=${PIP_TARGET:+$PIP_TARGET/bin}
        : "${folder:=$(dirname "$0")}"
        mkdir -p "$folder" && cat "$FAKE_UV" > "$folder/uv" && chmod +x "$folder/uv" ;;
esac
"""

OLD_PYTHON = """#!/bin/sh
[ "$1" = -V ] && echo "Python 3.9.2"
[ "$1" = -V ]
"""

UV = """#!/bin/sh
# A uv that notes its environment and "installs" a just that prints its arguments, one a line
if [ "$1" = --version ]; then echo "uv ${FAKE_UV_VERSION:-0.13.9} (linux)"; exit; fi
echo "uv $* UV_PYTHON=${UV_PYTHON:-} UV_CACHE_DIR=${UV_CACHE_DIR:-} downloads=$UV_PYTHON_DOWNLOADS" >&2
mkdir -p .venv/bin
printf '#!/bin/sh\\nfor argument; do printf "[%%s]\\\\n" "$argument"; done\\nexit "${JUST_EXIT:-0}"\\n' > .venv/bin/just
chmod +x .venv/bin/just
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone in a folder with a space in its name."""
    folder = tmp_path / "my clone"
    folder.mkdir()
    shutil.copy(ROOT / "just", folder)
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or tool)
    return folder


def put(folder: Path, name: str, text: str) -> Path:
    program = folder / name
    program.write_text(text)
    program.chmod(0o755)
    return program


def run(
    clone: Path, path: Path, *arguments: str, cwd: Path | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    fake_uv = put(clone.parent, "fake-uv", UV)
    return subprocess.run(
        [clone / "just", *arguments],
        cwd=cwd or clone,
        env={"PATH": str(path), "HOME": str(clone.parent), "FAKE_UV": str(fake_uv), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_a_uv_that_is_there_is_used(clone: Path, path: Path) -> None:
    put(path, "uv", UV)
    put(path, "python3", PYTHON)
    outcome = run(clone, path, "test", "-k", "two words", "")
    assert outcome.stdout == "[test]\n[-k]\n[two words]\n[]\n"
    assert "--locked" in outcome.stderr
    assert f"UV_PYTHON={path / 'python3'}" in outcome.stderr
    assert "downloads=never" in outcome.stderr
    assert not (clone / ".tools").exists()


@pytest.mark.parametrize("version", ["0.8.24", "0.4.30"])
def test_a_uv_that_is_too_old_is_passed_over(clone: Path, path: Path, version: str) -> None:
    put(path, "uv", UV)
    put(path, "python3", PYTHON)
    outcome = run(clone, path, "up", FAKE_UV_VERSION=version)
    assert "fetching uv" in outcome.stderr
    assert list(clone.glob(".tools/uv-*/bin/uv"))


@pytest.mark.parametrize("version", ["0.9.0", "0.13.9", "1.0.0"])
def test_a_newer_uv_is_taken_as_it_is(clone: Path, path: Path, version: str) -> None:
    put(path, "uv", UV)
    put(path, "python3", PYTHON)
    assert "fetching" not in run(clone, path, "up", FAKE_UV_VERSION=version).stderr


def test_without_uv_one_is_fetched_once(clone: Path, path: Path) -> None:
    put(path, "python3", PYTHON)
    first = run(clone, path, "up")
    second = run(clone, path, "up")
    assert (first.returncode, first.stdout) == (0, "[up]\n")
    assert "fetching uv" in first.stderr
    assert "fetching" not in second.stderr
    assert [entry.name for entry in (clone / ".tools").iterdir()] == [f"uv-{pinned_version()}"]


def pinned_version() -> str:
    line = next(line for line in (ROOT / "just").read_text().splitlines() if line.startswith("uv_pinned="))
    return line.partition("=")[2].split()[0]


def test_a_python_that_makes_no_environments_fetches_by_its_pip(clone: Path, path: Path) -> None:
    put(path, "python3", PYTHON)
    outcome = run(clone, path, "up", NO_VENV="1")
    assert (outcome.returncode, outcome.stdout) == (0, "[up]\n")


def test_without_venv_and_pip_the_error_names_the_package_to_install(clone: Path, path: Path) -> None:
    put(path, "python3", PYTHON)
    outcome = run(clone, path, NO_VENV="1", NO_PIP="1")
    assert outcome.returncode == 1
    assert "apt install python3-venv" in outcome.stderr
    assert not list(clone.glob(".tools/fetching*"))


def test_without_a_network_the_error_names_it_and_no_half_made_folder_stays(clone: Path, path: Path) -> None:
    put(path, "python3", PYTHON)
    outcome = run(clone, path, NO_NETWORK="1")
    assert outcome.returncode == 1
    assert "could not be fetched" in outcome.stderr
    assert not list(clone.glob(".tools/fetching*"))
    assert not list(clone.glob(".tools/*/bin/uv"))


def test_without_python_the_error_names_the_packages_to_install(clone: Path, path: Path) -> None:
    outcome = run(clone, path)
    assert outcome.returncode == 1
    assert "there is no python3 on PATH" in outcome.stderr
    assert "apt install python3" in outcome.stderr
    assert "brew install python3" in outcome.stderr


def test_a_python_that_is_too_old_is_named(clone: Path, path: Path) -> None:
    put(path, "python3", OLD_PYTHON)
    outcome = run(clone, path)
    assert outcome.returncode == 1
    assert "Python 3.9.2" in outcome.stderr


def test_a_newer_python_beside_an_old_one_is_found(clone: Path, path: Path) -> None:
    put(path, "python3", OLD_PYTHON)
    newer = put(path, "python3.13", PYTHON)
    put(path, "uv", UV)
    assert f"UV_PYTHON={newer}" in run(clone, path).stderr


def test_an_environment_that_works_keeps_its_interpreter(clone: Path, path: Path) -> None:
    """A system may be running from it while a second terminal runs the tests."""
    put(path, "uv", UV)
    put(path, "python3", PYTHON)
    (clone / ".venv/bin").mkdir(parents=True)
    put(clone / ".venv/bin", "python", PYTHON)
    assert "UV_PYTHON= " in run(clone, path).stderr


def test_a_home_that_cannot_be_written_moves_the_cache(clone: Path, path: Path) -> None:
    put(path, "uv", UV)
    put(path, "python3", PYTHON)
    outcome = run(clone, path, HOME="/dev/null/nowhere")
    assert f"UV_CACHE_DIR={clone}/.tools/uv-cache" in outcome.stderr


def test_it_works_from_any_folder(clone: Path, path: Path, tmp_path: Path) -> None:
    put(path, "uv", UV)
    put(path, "python3", PYTHON)
    assert run(clone, path, "up", cwd=tmp_path).stdout == "[up]\n"


def test_justs_own_outcome_is_the_wrappers(clone: Path, path: Path) -> None:
    put(path, "uv", UV)
    put(path, "python3", PYTHON)
    assert run(clone, path, JUST_EXIT="7").returncode == 7


def test_the_wrapper_becomes_just(clone: Path, path: Path) -> None:
    """A signal to the process that a person or a supervisor started reaches `just` itself."""
    put(path, "uv", UV)
    put(path, "python3", PYTHON)
    run(clone, path)
    put(clone / ".venv/bin", "just", "#!/bin/sh\necho $$\n")
    put(path, "uv", "#!/bin/sh\n[ $1 != --version ] || echo uv 0.13.9\n")
    process = subprocess.Popen(
        [clone / "just"], env={"PATH": str(path)}, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    printed, _ = process.communicate(timeout=30)
    assert int(printed) == process.pid


def test_up_runs_without_just_in_between(clone: Path, path: Path) -> None:
    """At Ctrl-C `just` reports an error, whatever the recipe's own outcome; so `up` replaces the wrapper."""
    put(path, "uv", UV)
    (clone / ".venv/bin").mkdir(parents=True)
    put(clone / ".venv/bin", "python", '#!/bin/sh\necho $$; for each; do echo "[$each]"; done')
    process = subprocess.Popen(
        [clone / "just", "up", "two words"], env={"PATH": str(path)}, stdout=subprocess.PIPE, text=True
    )
    printed, _ = process.communicate(timeout=30)
    arguments = "".join(f"[{word}]\n" for word in ("-m", "cafeteria.local_stack", "up", "two words"))
    assert printed == f"{process.pid}\n{arguments}"
    recipe = (ROOT / "justfile").read_text().partition("\nup *args:\n")[2].splitlines()[0]
    assert recipe.endswith('python -m cafeteria.local_stack up "$@"')


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1", "no_SUCH.UTF-8"])
def test_paths_may_hold_any_letter_whatever_the_locale(clone: Path, path: Path, locale: str) -> None:
    """Uv compiles for a minute and gives up where a path is not in the locale's letters."""
    put(path, "uv", '#!/bin/sh\necho "$LC_ALL $PYTHONUTF8" >> called\n' + UV)
    run(clone, path, LC_ALL=locale, PYTHONUTF8="0")
    assert set((clone / "called").read_text().splitlines()) == {"C.UTF-8 1"}


def test_the_recipes_are_listed_by_default(tmp_path: Path) -> None:
    just = Path(sys.executable).parent / "just"
    listing = subprocess.run(
        [just, "--justfile", ROOT / "justfile"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    for recipe in ("up", "reset", "test", "check", "fmt", "migrate", "contracts"):
        assert f"    {recipe}" in listing.stdout
