"""Today's code decodes every former example.

Streams store messages for days and databases store answers for longer, so a message outlives the code that wrote it.
"""

import hashlib
import subprocess
from pathlib import Path

import msgspec

Messages = dict[str, type[msgspec.Struct]]

HISTORY_BEGINS = "c155fb603af4e4f301e7c1dd89462ff8d1687a50"
"""The commit that made lists of the messages, before the first release: older formats are not kept."""


def message_type(messages: Messages, path: str) -> type[msgspec.Struct]:
    """`stock/older/StockDecided.expired.1f2e3d4c.json` is a StockDecided."""
    return messages[path.replace("older/", "").partition(".")[0]]


def test_an_older_example_still_decodes(
    messages: Messages, examples_folder: Path, older_example: str
) -> None:
    golden = (examples_folder / older_example).read_bytes()
    msgspec.json.decode(golden, type=message_type(messages, older_example))


def test_an_older_example_is_named_by_its_content(examples_folder: Path, older_example: str) -> None:
    """The digest detects an example that was edited to make it decode."""
    assert digest_in(older_example) == digest(examples_folder / older_example)


def test_an_example_is_kept_before_it_may_change(examples_folder: Path, example: str) -> None:
    current = examples_folder / example
    kept = current.parent / "older" / f"{current.stem}.{digest(current)}.json"
    assert kept.is_file(), f"keep it: mkdir -p {kept.parent} && cp {current} {kept}"


def test_an_older_example_stays_as_long_as_its_owner(examples_folder: Path) -> None:
    """Its content stays, also where its message gets another name."""
    log = (
        "git",
        "log",
        "--diff-filter=DR",
        "--name-only",
        "--format=",
        f"{HISTORY_BEGINS}..",
        "--",
        "*/older/*.json",
    )
    # outside a repository there is no history to check
    removed = subprocess.run(log, cwd=examples_folder, capture_output=True, text=True, check=False)
    kept = {digest_in(path.name) for path in examples_folder.glob("*/older/*.json")}
    lost = [Path(name) for name in removed.stdout.split() if digest_in(name) not in kept]
    assert [path for path in lost if (examples_folder / path.parent.parent.name).is_dir()] == []


def digest_in(name: str) -> str:
    return name.split(".")[-2]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]
