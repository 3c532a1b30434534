"""What runs on GitHub: pinned, bounded, with few rights, and nothing that is not run here too."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z0-9-]+):.*?## ", MAKEFILE, re.M))
# Not of the Makefile: what only GitHub can do, and what the checks of the image do here as well.
ALLOWED = (
    r'echo "(version|digest)=.*" >> "\$GITHUB_OUTPUT"',
    r'docker push "\$IMAGE"',
    r'docker buildx imagetools create --tag "\$IMAGE(-slim)?"( "\$IMAGE-[a-z0-9-]+"){1,2}',
    r'docker run --rm --network none "\$IMAGE" demo --output /output',
    r'gh release create "\$GITHUB_REF_NAME" --verify-tag --notes-file notes/release-notes\.md .*',
)


def read(path: Path) -> Any:
    """A workflow; YAML 1.1 takes the key "on" for a truth."""
    content = yaml.safe_load(path.read_text("utf-8"))
    return {("on" if key is True else key): value for key, value in content.items()}


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in read(path)["jobs"].items():
            yield f"{path.name}: {name}", job


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in jobs():
        for step in job.get("steps", ()):
            yield name, step


def test_what_there_is() -> None:
    found = {path.stem for path in WORKFLOWS}
    assert found == {"test", "lint", "security", "docs", "images", "release"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_rights_are_given_job_by_job(path: Path) -> None:
    content = read(path)
    assert content["permissions"] == {}
    assert "group" in content["concurrency"]
    assert "pull_request_target" not in content["on"]
    for name, job in content["jobs"].items():
        assert "permissions" in job, name
        assert all(value in ("read", "write") for value in job["permissions"].values())
        called = "uses" in job
        assert called or 0 < job["timeout-minutes"] <= 90, name
        assert called or job["runs-on"] in ("ubuntu-24.04", "${{ matrix.machine }}")
    # A right to write says in the file what for.
    for line in path.read_text("utf-8").splitlines():
        assert ": write" not in line or "attestations" in line or "# " in line, line


def test_actions_are_pinned_to_one_commit() -> None:
    known: dict[str, str] = {}
    for path in WORKFLOWS:
        for line in re.findall(r"uses: (.*)$", path.read_text("utf-8"), re.M):
            if line.startswith("./"):
                assert (ROOT / line).is_file()
                continue
            found = re.fullmatch(r"([\w./-]+)@([0-9a-f]{40}) # (v\d+(\.\d+)*)", line)
            assert found, line
            repository = "/".join(found[1].split("/")[:2])
            assert known.setdefault(repository, found[2]) == found[2], repository
    assert len(known) >= 9


def test_nothing_is_left_in_checkouts() -> None:
    checkouts = [one for _, one in steps() if one.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) >= 6
    assert all(one["with"]["persist-credentials"] is False for one in checkouts)


def test_every_command_is_run_here_as_well() -> None:
    """A target of the Makefile, or one of the few that are known."""
    seen = set()
    for name, step in steps():
        for line in step.get("run", "").strip().splitlines():
            words = line.split()
            if words[0] == "make":
                assert words[1] in TARGETS, f"{name}: {line}"
                variables = [word.partition("=")[0] for word in words[2:]]
                assert all(re.search(rf"^{v} \?=", MAKEFILE, re.M) for v in variables), line
                seen.add(words[1])
            else:
                assert any(re.fullmatch(one, line) for one in ALLOWED), f"{name}: {line}"
        assert "${{" not in step.get("run", ""), f"{name}: words of others become code"
    assert {"test", "lint", "docs", "docker-test", "docker", "release", "audit"} <= seen


def test_every_python_that_is_promised_is_tested() -> None:
    (job,) = (job for name, job in jobs() if name == "test.yml: test")
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    promised = re.findall(r"Programming Language :: Python :: (3\.\d+)", project)
    assert job["strategy"]["matrix"]["python"] == promised


def test_a_release_is_published_when_all_is_checked() -> None:
    made = read(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    assert set(made["pypi"]["needs"]) == {"build", "images"}
    assert set(made["pypi"]["permissions"]) == {"id-token"}
    assert set(made["page"]["needs"]) == {"build", "pypi"}
    order = [step.get("run") or step["uses"].partition("@")[0] for step in made["build"]["steps"]]
    assert order.index("make release") < order.index("actions/attest-build-provenance")
    assert order.index("make release") < order.index("actions/attest-sbom")


BAD = """
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - run: echo ${{ github.event.issue.title }} ${{ steps.none.outputs.x }}
"""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["actionlint"], "none"),
        (
            ["zizmor", "--offline", "--no-progress", "--min-severity", "medium"],
            "template-injection",
        ),
    ],
)
def test_the_linters_see_faults(words: list[str], told: str, tmp_path: Path) -> None:
    """As ``make lint`` calls them; that these workflows have none is tested there."""
    bad = tmp_path / ".github" / "workflows" / "bad.yml"
    bad.parent.mkdir(parents=True)
    bad.write_text(BAD, encoding="utf-8")
    program = Path(sysconfig.get_path("scripts")) / words[0]
    done = subprocess.run(
        [program, *words[1:], bad], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode > 0
    assert told in done.stdout
    assert f"$(BIN)/{words[0]}" in MAKEFILE


def test_badges_lead_somewhere() -> None:
    """None as long as nobody has said where the project lives."""
    readme = (ROOT / "README.md").read_text("utf-8")
    assert not re.search(r"badge|shields\.io", readme)


# Forms ------------------------------------------------------------------------------------------

_TEXT = {"type": "string", "minLength": 1}
FORM = {
    "type": "object",
    "required": ["name", "description", "body"],
    "additionalProperties": False,
    "properties": {
        "name": _TEXT,
        "description": _TEXT,
        "title": {"type": "string"},
        "labels": {"type": "array", "items": _TEXT},
        "body": {
            "type": "array",
            "minItems": 1,
            "contains": {"properties": {"type": {"not": {"const": "markdown"}}}},
            "items": {
                "type": "object",
                "required": ["type", "attributes"],
                "additionalProperties": False,
                "properties": {
                    "type": {"enum": ["markdown", "input", "textarea", "dropdown", "checkboxes"]},
                    "id": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
                    "attributes": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "label": _TEXT,
                            "description": _TEXT,
                            "placeholder": _TEXT,
                            "value": _TEXT,
                            "render": _TEXT,
                            "multiple": {"type": "boolean"},
                            "options": {"type": "array", "minItems": 1},
                        },
                    },
                    "validations": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {"required": {"type": "boolean"}},
                    },
                },
                "allOf": [
                    {
                        "if": {"properties": {"type": {"const": "markdown"}}},
                        "then": {"properties": {"attributes": {"required": ["value"]}}},
                        "else": {
                            "required": ["id"],
                            "properties": {"attributes": {"required": ["label"]}},
                        },
                    },
                    {
                        "if": {"properties": {"type": {"enum": ["dropdown", "checkboxes"]}}},
                        "then": {"properties": {"attributes": {"required": ["options"]}}},
                    },
                ],
            },
        },
    },
}
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


@pytest.mark.parametrize("path", [p for p in FORMS if p.stem != "config"], ids=lambda p: p.stem)
def test_forms_for_issues_are_forms(path: Path) -> None:
    """By the rules that GitHub documents; each asks for the version and warns of patients' data."""
    content = yaml.safe_load(path.read_text("utf-8"))
    jsonschema.Draft202012Validator(FORM).validate(content)
    ids = [one["id"] for one in content["body"] if "id" in one]
    assert len(set(ids)) == len(ids)
    labels = [one["attributes"].get("label") for one in content["body"] if "id" in one]
    assert len(set(labels)) == len(labels)
    text = path.read_text("utf-8")
    assert "patient" in text
    assert "wmhseg --version" in text or path.stem == "question"


def test_the_form_for_a_wrong_mask_asks_for_what_is_needed() -> None:
    assert [path.stem for path in FORMS] == ["bug", "config", "question", "segmentation"]
    text = (ROOT / ".github" / "ISSUE_TEMPLATE" / "segmentation.yml").read_text("utf-8")
    for asked in ("wmhseg check", "wmh.json", "--overlay"):
        assert asked in text
    assert yaml.safe_load(FORMS[1].read_text("utf-8")) == {"blank_issues_enabled": False}


def test_dependabot_looks_after_all_pins() -> None:
    content = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text("utf-8"))
    kinds = {one["package-ecosystem"]: one for one in content["updates"]}
    assert set(kinds) == {"github-actions", "pip", "docker"}
    pinned = {path.parent for path in ROOT.glob("**/requirements*.txt") if ".venv" not in str(path)}
    told = {(ROOT / name.lstrip("/")) for name in kinds["pip"]["directories"]}
    assert {path for path in pinned if "build" not in path.parts} <= told
    assert all(one["cooldown"]["default-days"] >= 7 for one in content["updates"])
