"""The repository keeps: light imports, one door out, no pickle, agreeing versions, a whole wheel."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PACKAGES = ("sorakit", "detectors")
HEAVY = (
    "torch",
    "diffusers",
    "transformers",
    "tensorflow",
    "jax",
    "onnxruntime",
    "torchvision",
    "accelerate",
)
MAX_LINES = 320


def sources(*folders: str) -> list[Path]:
    return sorted(p for f in folders for p in (ROOT / f).rglob("*.py") if "__pycache__" not in p.parts)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


# imports


def test_importing_the_kit_is_light(run_python: Callable[..., "subprocess.CompletedProcess[str]"]) -> None:
    code = "import sys, sorakit, sorakit.types, sorakit.errors; print(*sys.modules)"
    loaded = {m.partition(".")[0] for m in run_python(code).stdout.split()}
    assert "sorakit" in loaded
    assert loaded.isdisjoint({*HEAVY, "detectors", "av", "cv2", "c2pa", "sqlalchemy"})


def test_the_program_starts_light(run_python: Callable[..., "subprocess.CompletedProcess[str]"]) -> None:
    code = "import sys, sorakit.cli; print(*sys.modules)"
    loaded = {m.partition(".")[0] for m in run_python(code).stdout.split()}
    assert loaded.isdisjoint({*HEAVY, "detectors", "av", "cv2", "c2pa", "sqlalchemy", "scipy"})


WITHOUT = """
import importlib.abc, runpy, sys
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
        return None
sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture
def without_torch(tmp_path: Path) -> dict[str, str]:
    """An environment in which no process, nor any child of it, can import the heavy packages."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(WITHOUT.format(blocked=set(HEAVY)))
    return os.environ | {
        "PYTHONPATH": str(tmp_path / "site"),
        "SORAKIT_HOME": str(tmp_path / "home"),
        "SORAKIT_PRESET": "ultrafast",
    }


def test_mark_and_check_need_no_torch(
    without_torch: dict[str, str],
    tmp_path: Path,
    file_factory: Callable[..., Path],
    clip_factory: Callable[..., object],
) -> None:
    def run(*args: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *map(str, args)],
            env=without_torch,
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )

    gone = run("-c", "import torch")
    assert "No module named 'torch'" in gone.stderr  # the fixture does block
    source, marked = file_factory(tmp_path / "in.mp4", clip_factory()), tmp_path / "out.mp4"
    kit = ("-c", "from sorakit.cli import main; main()")
    for command, code in (
        (("keys", "dev"), 0),
        (("mark", source, "-o", marked, "--json"), 0),
        (("check", marked, "--json", "--trust", "dev"), 0),
    ):
        done = run(*kit, *command)
        assert done.returncode == code, done.stderr
    assert '"ai_declared"' in done.stdout


def test_contracts_between_packages_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    if not lint.exists():
        pytest.skip("import-linter is not installed")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


# one door out

_WRITERS = {
    "write_clip",
    "transcode",
    "add_stream",
    "VideoWriter",
    "vwrite",
    "file_factory",
    "export_to_video",
}
_MAY_WRITE = (
    "sorakit/publish.py",
    "sorakit/watermark/apply.py",
    "sorakit/watermark/attacks",
    "sorakit/video/",
)


def _called(node: ast.Call) -> str:
    f = node.func
    return f.attr if isinstance(f, ast.Attribute) else f.id if isinstance(f, ast.Name) else ""


def _opens_for_writing(node: ast.Call) -> bool:
    """`av.open(…, "w")`, also with `mode=`."""
    if not (isinstance(node.func, ast.Attribute) and node.func.attr == "open"):
        return False
    if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "av"):
        return False
    modes = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "mode")]
    return any(not (isinstance(m, ast.Constant) and m.value == "r") for m in modes)


def _writes_video(path: Path) -> list[int]:
    calls = (n for n in ast.walk(tree(path)) if isinstance(n, ast.Call))
    return [c.lineno for c in calls if _called(c) in _WRITERS or _opens_for_writing(c)]


def test_the_search_for_writers_finds_them() -> None:
    assert _writes_video(ROOT / "sorakit/publish.py")
    assert any(_writes_video(p) for p in sources("sorakit/video"))


def test_only_publish_writes_videos_that_leave() -> None:
    strangers = {
        f"{p.relative_to(ROOT)}:{line}"
        for p in sources(*PACKAGES)
        if not str(p.relative_to(ROOT)).startswith(_MAY_WRITE)
        for line in _writes_video(p)
    }
    assert strangers == set()


def _notebooks() -> list[Path]:
    return sorted((ROOT / "notebooks").rglob("*.ipynb"))


def test_notebooks_file_factorys_through_publish_alone() -> None:
    for path in _notebooks():
        text = path.read_text()
        assert not re.search(
            r"write_clip\(|add_stream\(|VideoWriter\(|export_to_video\(|transcode\(", text
        ), path


# what no code here does

_NO_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_no_pickle() -> None:
    for path in sources(*PACKAGES, "benchmarks"):
        assert _NO_MODULES.isdisjoint({m.partition(".")[0] for m in _imports(path)}), path
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                spoken = ast.unparse(node.func)
                assert spoken not in ("torch.load", "torch.save", "np.save", "eval"), f"{path}:{node.lineno}"
                unpickles = any(k.arg == "allow_pickle" for k in node.keywords)
                assert not unpickles, f"{path}:{node.lineno}"


def test_no_print_in_the_library() -> None:
    for path in sources(*PACKAGES):
        if {"cli", "nb", "__main__.py"} & set(path.parts):
            continue
        calls = [n for n in ast.walk(tree(path)) if isinstance(n, ast.Call)]
        assert not [c.lineno for c in calls if _called(c) == "print"], path


def test_no_assert_and_no_bare_except_in_the_library() -> None:
    for path in sources(*PACKAGES):
        for node in ast.walk(tree(path)):
            assert not isinstance(node, ast.Assert), f"{path}:{node.lineno}"
            assert not (isinstance(node, ast.ExceptHandler) and node.type is None), f"{path}:{node.lineno}"


def test_files_stay_short_and_say_what_they_are_for() -> None:
    long = {str(p): n for p in sources(*PACKAGES) if (n := len(p.read_text().splitlines())) > MAX_LINES}
    assert long == {}
    mute = [str(p) for p in sources(*PACKAGES) if p.name != "__init__.py" and not ast.get_docstring(tree(p))]
    assert mute == []


def test_nothing_points_outside_the_repository() -> None:
    for path in sources(*PACKAGES, "benchmarks"):
        assert not re.search(r"/work/|/root/|/home/\w+/|/tmp/\w", path.read_text()), path


@pytest.mark.parametrize("path", _notebooks(), ids=lambda p: p.name)
def test_notebooks_are_stripped(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nbstripout", "--verify", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"run: nbstripout {path}\n{done.stdout[-500:]}"


# versions


def _pip_section() -> list[str]:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    return next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))


def test_environment_yml_is_valid_and_agrees_with_pyproject() -> None:
    rattler = pytest.importorskip("rattler")
    requirement = pytest.importorskip("packaging.requirements").Requirement
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    specs = {}
    for dependency in environment["dependencies"]:
        if isinstance(dependency, str):
            spec = rattler.MatchSpec(dependency)
            specs[spec.name.normalized] = str(spec.version or "")
    facts = project()["project"]
    assert isinstance(facts, dict)
    declared = {}
    for line in [*facts["dependencies"], *(r for g in facts["optional-dependencies"].values() for r in g)]:
        found = requirement(line)
        declared[found.name.lower()] = found.specifier
    conda_names = {"pytorch": "torch"}
    for conda_name, version in specs.items():
        name = conda_names.get(conda_name, conda_name)
        if version and name in declared:
            assert version.lstrip("=>") in str(declared[name]), (name, version, declared[name])
    assert specs["python"].lstrip("=") >= str(facts["requires-python"]).lstrip(">=")
    assert {"python", "pip"} <= set(specs)


def test_the_pip_section_installs_this_project() -> None:
    requirement = pytest.importorskip("packaging.requirements").Requirement
    extras = set(project()["project"]["optional-dependencies"])  # type: ignore[index]
    lines = _pip_section()
    assert lines
    own = 0
    for line in lines:
        if line.startswith("-e "):
            found = re.fullmatch(r"-e \.(\[(\w+(,\w+)*)\])?", line)
            assert found, line
            assert set((found[2] or "").split(",")) - {""} <= extras
            own += 1
        else:
            requirement(line)
    assert own == 1


def test_licence_is_apache() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert project()["project"]["license"] == "Apache-2.0"  # type: ignore[index]


def test_commands_of_the_readme_exist() -> None:
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    wanted = set(re.findall(r"^\s*(?:\$ )?make ([\w-]+)", readme, re.M)) | set(
        re.findall(r"`make ([\w-]+)`", readme)
    )
    assert {"demo", "test"} <= wanted
    assert wanted <= set(re.findall(r"^([\w-]+):", makefile, re.M))


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("[a-z]*.py")), ids=lambda p: p.name)
def test_benchmarks_say_on_what_they_ran(path: Path) -> None:
    text = path.read_text()
    if "__main__" not in text:
        pytest.skip("shared by the benchmarks")
    assert "commit" in text, "every benchmark prints the commit it measured"
    assert re.search(r"\bn\b|--n\b|runs", text), "every benchmark prints its n"
    assert ast.get_docstring(tree(path))


# the wheel


def test_the_wheel_is_whole(tmp_path: Path) -> None:
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(ROOT))
    wheel = Path(next(iter(builder.build(directory=str(tmp_path), versions=["standard"]))))
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in sources(*PACKAGES):
        assert str(path.relative_to(ROOT)) in names
    data = {".safetensors", ".skops", ".json", ".pem", ".js", ".mako", ".typed", ".ini"}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.suffix in data and "__pycache__" not in path.parts and _tracked(path):
                assert str(path.relative_to(ROOT)) in names, path
    assert any(n.startswith("sorakit/registry/migrations/") for n in names)
    assert any(n.endswith("LICENSE") for n in names)
    assert not [n for n in names if n.startswith(("tests/", "notebooks/", "benchmarks/"))]
    assert "sorakit/course/notebooks/00_five_minute_tour.ipynb" in names


def _tracked(path: Path) -> bool:
    done = subprocess.run(
        ["git", "ls-files", "--error-unmatch", path], cwd=ROOT, capture_output=True, check=False
    )
    return done.returncode == 0


def test_packaged_models_do_not_say_where_they_were_made() -> None:
    configs = sorted((ROOT / "sorakit" / "weights").rglob("*.json"))
    assert configs
    for path in configs:
        assert "_name_or_path" not in path.read_text(), path
