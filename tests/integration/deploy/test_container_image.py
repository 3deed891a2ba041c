"""The image of a node: what its Dockerfile takes out of a checkout is all that the package is made of."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCKERFILE = ROOT / "deploy" / "container" / "Dockerfile"


def test_the_package_is_made_of_what_the_dockerfile_copies(tmp_path: Path) -> None:
    text = DOCKERFILE.read_text()
    checkout = tmp_path / "omnitide"
    for line in re.findall(r"^COPY (.+) /tmp/omnitide/?\S*$", text, re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists()
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_file():
                shutil.copy(ROOT / name, checkout / name)
            else:
                shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("static", "__pycache__"))
    assert "RUN OMNITIDE_WITHOUT_PANEL=1 pip install" in text
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    environment = {**os.environ, "OMNITIDE_WITHOUT_PANEL": "1"}
    subprocess.run(command, cwd=checkout, env=environment, check=True, capture_output=True, timeout=60)
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert "omnitide/node/proxy.py" in names
    assert not any("/static/" in name for name in names)


def test_the_line_that_the_panel_shows_starts_that_image() -> None:
    shown = (ROOT / "web" / "src" / "pages" / "joining.ts").read_text()
    (build,) = re.findall(r'BUILD = "(docker build .+)"', shown)
    assert f"#   {build}\n" in DOCKERFILE.read_text()
    assert "ENV OMNITIDE_DATA=/var/lib/omnitide" in DOCKERFILE.read_text()
    assert "omnitide-node:/var/lib/omnitide " in shown
    assert os.access(ROOT / "deploy" / "container" / "node", os.X_OK)
