"""The docs tell the truth: generated pages are current, links and commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from halpgraph.cli import app
from halpgraph.shipped import shipped

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("name", ["make_catalogue.py", "make_methods.py"])
def test_generated_pages_are_up_to_date(name: str) -> None:
    script = ROOT / "docs" / name
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link
    for name in re.findall(r"`((?:recipes|benchmarks|docs|tests|halpgraph)/[\w/.-]+\.\w+)`", text):
        if name != "halpgraph/methods/mine.py":
            assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_exist_with_their_options(page: Path) -> None:
    root = get_command(app)
    for line in re.findall(r"^halpgraph (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        words = line.split("#")[0].split()
        command = root
        while hasattr(command, "commands") and words:
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        options = {name for option in command.params for name in option.opts}
        for word in words:
            if word.startswith("--"):
                assert word in options, line
        if line.split()[0] in ("run", "check"):
            name = Path(words[0]).stem
            assert (shipped("recipes") / f"{name}.yaml").is_file(), line


def test_contributing_s_method_really_is_one_file(tmp_path: Path) -> None:
    """The method of CONTRIBUTING.md, copied out, validates, trains and takes the HaLP head."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    source = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert source is not None
    code = (
        "import sys, types\n"
        "module = types.ModuleType('halpgraph.methods.mine')\n"
        "sys.modules['halpgraph.methods.mine'] = module\n"
        f"sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        f"exec(compile({source.group(1)!r}, 'mine.py', 'exec'), module.__dict__)\n"
        "from small import small_data, small_recipe\n"
        "from halpgraph.engine import Trainer\n"
        "recipe = small_recipe(method={'name': 'mine', 'weight': 2.0})\n"
        "report = Trainer(small_data().store, recipe.arm('halp'), 0).train_epoch()\n"
        "assert set(report.terms) == {'mine', 'halp'}, report\n"
    )
    path = tmp_path / "try.py"
    path.write_text(code)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
