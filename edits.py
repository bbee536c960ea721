# Edits by hand, applied after the rules: file of the new layout, and pairs of text. Read by move.py.

ROOT_LIST = re.compile("")
L = LIB

edit(f"{L}/pipeline/build.py", ('rooms = ("pipeline", "monitoring", "provenance", "serving")', 'rooms = ("pipeline", "monitoring", "records/provenance", "serving")'),
     ('for path in (sources / room).rglob("*.py")', 'for path in (sources / "modelstack" / room).rglob("*.py")'))
edit(f"{L}/program/aws/lambda_zip.py",
     ('ROOMS = ("audit", "monitoring", "platforms", "records", "retraining", "rollout", "services", "tracking")', 'ROOMS = ("monitoring", "platforms", "records", "rollout", "services")'),
     ('    "modelstack/services/package_registry.py",', '    "modelstack/records/provenance/",\n    "modelstack/services/package_registry.py",'),
     ('sources = [path for room in ROOMS for path in _sources(root, room)]', 'sources = [root / "modelstack" / "__init__.py", *(path for room in ROOMS for path in _sources(root / "modelstack", room))]'),
     ('    every = (root / room).rglob("*.py")\n    found = [path for path in every if not path.relative_to(root).as_posix().startswith(_LEFT_OUT)]',
      '    every = (root / room).rglob("*.py")\n    found = [path for path in every if not path.relative_to(root.parent).as_posix().startswith(_LEFT_OUT)]'))
edit(f"{L}/cli/local/container.py",
     ('''    for path in sorted((SOURCES / "modelstack/serving").rglob("*.py")):''', '''    for path in (SOURCES / "modelstack/__init__.py", *sorted((SOURCES / "modelstack/serving").rglob("*.py"))):'''),
     ('rooms = ("pipeline", "monitoring", "provenance", "serving", "modelstack/platforms/aws/jobs")', 'rooms = ("pipeline", "monitoring", "records/provenance", "serving", "platforms/aws/jobs")'),
     ('''    for room in rooms:
        for path in sorted((SOURCES / room).rglob("*.py")):''', '''    _copy(SOURCES / "modelstack/__init__.py", folder / "checkout/modelstack/__init__.py")
    _copy(SOURCES / "modelstack/records/__init__.py", folder / "checkout/modelstack/records/__init__.py")
    for room in rooms:
        for path in sorted((SOURCES / "modelstack" / room).rglob("*.py")):'''),
     ('if one.partition(".")[0] not in rooms', 'if one.split(".")[1] not in rooms'))
edit(f"{L}/pipeline/Dockerfile", ("pipeline/, monitoring/, provenance/, serving/ and the data files in data/, the job's program and what the steps import of platforms/ and rollout/, the locks that a recipe is made of",
     "what of modelstack/ the job's program and the steps import, the data files in data/, the locks that a recipe is made of"))
edit(f"{L}/serving/Dockerfile", ("the room serving/", "modelstack/serving/"), ('"-m", "serving"', '"-m", "modelstack.serving"') if False else ("the room", "the room") if False else ("ENTRYPOINT", "ENTRYPOINT"))
edit(f"{L}/cli/report/gather.py", ('SOURCES / "modelstack/policy" / "prices.json"', 'SOURCES / "modelstack/policy/prices.json"') if False else ("prices.json", "prices.json"))
edit(f"{L}/cli/console/pages.py", ("SOURCES / RUNBOOK", "project_root() / RUNBOOK"), ("import SOURCES", "import project_root"))
edit(f"{L}/program/config/page.py", ('PAGE = Path(__file__).resolve().parents[3] / "docs"', 'PAGE = project_root() / "docs"'),
     ("from modelstack.program.config.problems import", "from modelstack.pipeline.project import project_root\nfrom modelstack.program.config.problems import"))
edit(f"{L}/policy/page.py", ('PAGE = Path(__file__).resolve().parents[2] / "docs"', 'PAGE = Path("docs")'))
edit(f"{L}/policy/pack.py", ('EXEMPTIONS = Path(__file__).parent / "exemptions.yaml"\n', ""),
     ('def start() -> NoReturn:\n    """Serve the pack to the engine that started this process, until it ends it; exits if the exemptions are wrong."""',
      'def start(file: Path) -> NoReturn:\n    """Serve the pack to the engine that started this process; exits if the project\'s exemptions in `file` are wrong."""'),
     ("EXEMPTIONS.read_text()", "file.read_text()"))
edit("policy/__main__.py", ('''# Python was started on this folder, whose modules belong to the package `policy`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)
''', '''HERE = Path(__file__).resolve().parent
# The pack has an environment of its own, without the library.
sys.path[0] = str(HERE.parent / "packages/modelstack/src")
'''), ("\nstart()\n", '\nstart(HERE / "exemptions.yaml")\n'))
edit(f"{L}/serving/package.py", ('''    runtime = str(''', '''    # Packages that were sealed before the library was one package import its runtime by these names.
    sys.modules.setdefault("serving", sys.modules["modelstack.serving"])
    sys.modules.setdefault("serving.sealed", import_module("modelstack.serving.sealed"))
    runtime = str('''), ("from importlib import metadata\n", "from importlib import import_module, metadata\n"))
edit(f"{L}/cli/main.py", ('package_name="modelstack"', 'package_name="pulumi-modelstack"'))
edit(f"{L}/cli/local/recovery.py", ("cli.local.", "cli.local.") if False else ("_ASK_TWICE", "_ASK_TWICE"))
edit(f"{L}/cli/reproduce.py", ('[str(python), "-m", "modelstack.pipeline", *words],', '[str(python), "-m", "pipeline" if (root / "pipeline").is_dir() else "modelstack.pipeline", *words],'),
     ('"PYTHONPATH": str(root), "XDG', '"PYTHONPATH": os.pathsep.join(map(str, (root, *_sources(root)))), "XDG'),
     ('env={**os.environ, "PYTHONPATH": str(root / "localcloud" / "src")},', 'env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, _sources(root)))},'),
     ('def _pipeline(root', '''def _sources(root: Path) -> list[Path]:
    """The folders of sources in a checkout: of this layout, of the one before, or where this library runs."""
    found = [*root.glob("packages/*/src"), *root.glob("localcloud/src")]
    return found or [SOURCES]


def _pipeline(root'''), ("from modelstack.pipeline.contract import", "from modelstack.pipeline.project import SOURCES\nfrom modelstack.pipeline.contract import"))

# --- the local cloud's set-up: the packages of the project's workspace are installed with it
edit("packages/localcloud/src/localcloud/setup/environments.py",
     ('''    checkouts = [places.root]
''', '''    checkouts = [places.root, *places.members]
'''), ('if (ours := own_checkout()) is not None and ours != places.root:', 'if (ours := own_checkout()) is not None and ours not in checkouts:'),
     ('*("--reinstall-package", places.project, "--reinstall-package", "localcloud"),', '*(word for name in places.names(checkouts) for word in ("--reinstall-package", name)),'))
edit("packages/localcloud/src/localcloud/setup/places.py", ('''    @property
    def venv(self)''', '''    @property
    def members(self) -> list[Path]:
        """The packages of the project's own uv workspace, if it has one."""
        document = tomllib.loads((self.root / "pyproject.toml").read_text())
        patterns = document.get("tool", {}).get("uv", {}).get("workspace", {}).get("members", [])
        return sorted(found for one in patterns for found in self.root.glob(one) if (found / "pyproject.toml").exists())

    @staticmethod
    def names(checkouts: list[Path]) -> list[str]:
        """The names of the distributions in some folders."""
        return [str(tomllib.loads((one / "pyproject.toml").read_text())["project"]["name"]) for one in checkouts]

    @property
    def venv(self)'''))
edit("packages/localcloud/pyproject.toml", ('name = "localcloud"\nversion', 'name = "localcloud-ml"\nversion'))

# --- configuration of tools
LIBRARIES = '"modelstack.records.audit", "modelstack.records.lineage", "modelstack.records.provenance"'
edit("pyproject.toml",
     ('''[project.scripts]
modelstack = "modelstack.cli.main:main"

[project.entry-points."modelstack.platforms"]
aws = "modelstack.platforms.aws.platform:PLATFORM"
kubernetes = "modelstack.platforms.kubernetes.platform:PLATFORM"

''', '''[tool.uv.workspace]
members = ["packages/*"]

'''),
     ('packages = ["audit", "cli", "infra", "model", "monitoring", "pipeline", "platforms", "policy", "provenance", "records", "retraining", "rollout", "services", "serving", "tracking"]', 'packages = ["infra", "model"]'),
     ('src = [".", "localcloud/src"]', 'src = [".", "packages/localcloud/src", "packages/modelstack", "packages/modelstack/src"]') if False else ('src = [".", "packages/localcloud/src"]', 'src = [".", "packages/localcloud/src", "packages/modelstack", "packages/modelstack/src"]'),
     ('"tests/**" =', '"**/tests/**" ='),
     ('"{cli,platforms,services,infra}/**"', '"packages/modelstack/src/modelstack/{cli,platforms,services,program}/**"'),
     ('project-includes = ["audit", "bench", "cli", "demos", "infra", "model", "monitoring", "pipeline", "platforms", "policy", "provenance", "records", "retraining", "rollout", "services", "serving", "tracking"]', 'project-includes = ["bench", "demos", "infra", "model", "packages/modelstack/src", "policy"]'),
     ('search-path = ["packages/localcloud/src", "."]  # the folder `localcloud` would else be taken for the package', 'search-path = ["packages/localcloud/src", "packages/modelstack/src", "."]'),
     ('''root_packages = [
    "audit", "bench", "cli", "demos", "infra", "localcloud", "model", "monitoring", "pipeline", "platforms",
    "policy", "provenance", "records", "retraining", "rollout", "services", "serving", "tracking",
]''', 'root_packages = ["bench", "demos", "localcloud", "model", "modelstack"]'),
     ('''    "cli | infra",
    "platforms",
    "services",
    "pipeline | retraining | tracking",
    "monitoring | records",
    "model | rollout",
    "audit | localcloud | policy | provenance | serving",
''', '''    "modelstack.cli | modelstack.program",
    "modelstack.platforms",
    "modelstack.services",
    "modelstack.pipeline | modelstack.records.tracking",
    "modelstack.monitoring | modelstack.records.lineage",
    "modelstack.records.reason",
    "model | modelstack.rollout",
    "localcloud | modelstack.policy | modelstack.records.audit | modelstack.records.provenance | modelstack.serving",
'''),
     ('''ancestors = [
    "audit", "bench", "cli", "demos", "infra", "localcloud", "model", "monitoring", "pipeline", "platforms",
    "policy", "provenance", "records", "retraining", "rollout", "services", "serving", "tracking",
]''', '''# Not `modelstack` itself: records.tracking is above the pipeline, and the other records are below it.
ancestors = [
    "bench", "demos", "localcloud", "model", "modelstack.cli", "modelstack.monitoring", "modelstack.pipeline",
    "modelstack.platforms", "modelstack.policy", "modelstack.program", "modelstack.records", "modelstack.rollout",
    "modelstack.services", "modelstack.serving",
]'''),
     ('''source_modules = [
    "audit", "model", "monitoring", "pipeline", "policy", "provenance", "records", "retraining", "rollout", "services",
    "serving", "tracking",
]''', '''source_modules = [
    "model", "modelstack.monitoring", "modelstack.pipeline", "modelstack.policy", "modelstack.records", "modelstack.rollout",
    "modelstack.services", "modelstack.serving",
]'''),
     ('source_modules = ["bench", "cli", "demos", "infra", "platforms"]', 'source_modules = ["bench", "demos", "modelstack.cli", "modelstack.platforms", "modelstack.program"]'),
     ('''source_modules = ["monitoring", "retraining", "rollout"]
forbidden_modules = ["model", "pipeline", "provenance", "serving", "tracking"]''', '''source_modules = ["modelstack.monitoring", "modelstack.rollout"]
forbidden_modules = [
    "model", "modelstack.pipeline", "modelstack.records.provenance", "modelstack.records.tracking", "modelstack.serving",
]'''),
     ('''source_modules = ["tracking"]
forbidden_modules = ["model", "monitoring", "pipeline", "retraining", "serving"]''', '''source_modules = ["modelstack.records.tracking"]
forbidden_modules = ["model", "modelstack.monitoring", "modelstack.pipeline", "modelstack.serving"]'''),
     ('''source_modules = ["pipeline"]
forbidden_modules = ["audit", "rollout", "tracking"]''', '''source_modules = ["modelstack.pipeline"]
forbidden_modules = ["modelstack.records.audit", "modelstack.records.tracking", "modelstack.rollout"]'''),
     ('''protected_modules = ["localcloud", "policy"]
allowed_importers = ["bench", "cli", "demos"]''', '''protected_modules = ["localcloud", "modelstack.policy"]
allowed_importers = ["bench", "demos", "modelstack.cli"]'''),
     ('''paths = [
    "audit", "bench", "cli", "demos", "infra", "model", "monitoring", "pipeline", "platforms", "policy", "provenance",
    "records", "retraining", "rollout", "services", "serving", "tracking",
]''', 'paths = ["bench", "demos", "infra", "model", "packages/modelstack/src/modelstack", "policy"]'),
     ('testpaths = ["tests"]', 'testpaths = ["packages/modelstack/tests", "tests"]'),
     ('pythonpath = ["packages/localcloud/src"]', 'pythonpath = ["packages/localcloud/src", "packages/modelstack/src", "packages/modelstack"]'))
edit("requirements/pyrefly-tests.toml", ('project-includes = ["../tests"]', 'project-includes = ["../packages/modelstack/tests", "../tests"]'),
     ('search-path = ["../packages/localcloud/src", ".."]', 'search-path = ["../packages/localcloud/src", "../packages/modelstack/src", "../packages/modelstack", ".."]'))
edit("requirements/deptry.toml", ('known_first_party = ["localcloud"]', 'known_first_party = ["localcloud", "modelstack"]'))
edit("Makefile", ('-C localcloud', '-C packages/localcloud'),
     ('test test-faults test-genuine check bench bench-kubernetes: export PYTHONDONTWRITEBYTECODE :=', 'test test-faults test-genuine check bench bench-kubernetes: export PYTHONDONTWRITEBYTECODE :=\ntest test-faults test-genuine check unit: export PYTHONPATH := $(CURDIR)/packages/modelstack'))
edit(".ci/run", ("make -C localcloud test", "make -C packages/localcloud test"))
edit(".github/workflows/preview.yml", ("'pipeline/**'", "'packages/modelstack/src/modelstack/pipeline/**'"))
edit("bench/timings.py", ('''        parts = path.split("/")[:-1]
''', '''        for prefix in _PREFIXES:
            path = path.removeprefix(prefix)
        parts = path.split("/")[:-1] or ["modelstack"]
'''), ('''        if revision or (ROOT / path).exists():
''', '''        if revision or file.exists():
'''), ('''        path, _, number = line.removeprefix(f"{revision}:").rpartition(":")
''', '''        path, _, number = line.removeprefix(f"{revision}:").rpartition(":")
        file = ROOT / path
'''), ('KINDS = ("source", "tests")\n', 'KINDS = ("source", "tests")\n_PREFIXES = ("packages/modelstack/src/modelstack/", "packages/modelstack/", "packages/")\n"""Folders are named without these."""\n'))
edit("bench/pull_request.py", ('''    *("audit", "cli", "infra", "localcloud", "model", "monitoring", "pipeline", "platforms", "policy", "provenance"),
    *("records", "requirements", "retraining", "rollout", "services", "serving", "stacks", "tracking"),
''', '''    *("infra", "model", "packages", "policy", "requirements", "stacks"),
'''))

# --- tests
T = TESTS
edit(f"{T}/process.py", ("command, env = [sys.executable, *words], {**os.environ, **environment}", "command, env = [sys.executable, *words], {**os.environ, **environment}"))
edit(f"{T}/__main__.py", ('"modelstack', '"modelstack') if False else ("_FAULTS", "_FAULTS"))
edit(f"{T}/e2e/conftest.py", ('PACKAGES: list[str] = _BUILD["targets"]["wheel"]["packages"]', 'PACKAGES: list[str] = [*_BUILD["targets"]["wheel"]["packages"], "packages", "policy"]'))
edit(f"{T}/infra/test_lambda_zip.py",
     ("shutil.copytree(SOURCES / room, folder / room,", "shutil.copytree(SOURCES / \"modelstack\" / room, folder / \"modelstack\" / room,") if False else ("ROOMS", "ROOMS"),
     ('shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))\n    return folder', 'shutil.copytree(SOURCES / "modelstack" / room, folder / "modelstack" / room, ignore=shutil.ignore_patterns("__pycache__"))\n    (folder / "modelstack" / "__init__.py").touch()\n    return folder'),
     ('(second / "rollout" /', '(second / "modelstack" / "rollout" /'), ('(root / "rollout" /', '(root / "modelstack" / "rollout" /'),
     ('{name.split("/")[0] for name in names} == set(ROOMS)', '{name.split("/")[1] for name in names} == {*ROOMS, "__init__.py"}'))
edit(f"{T}/platforms/aws/test_handlers.py", ("rooms = {set(ROOMS)}", 'rooms = {{"modelstack"}}'), ("from modelstack.program.aws.lambda_zip import ROOMS\n", ""))
edit(f"{T}/cli/test_image.py")
edit(f"{T}/pipeline/test_build.py", ('changed = Path(shutil.copytree(SOURCES / "modelstack/pipeline", tmp_path / "sources" / "pipeline")).parent\n    append(changed / "pipeline"', 'changed = tmp_path / "sources"\n    shutil.copytree(SOURCES / "modelstack/pipeline", changed / "modelstack" / "pipeline")\n    append(changed / "modelstack" / "pipeline"'))
edit(f"{T}/pipeline/toy.py", (f'    shutil.copytree(ROOT / "{LIB}/pipeline", root / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))\n    for room in ("monitoring", "provenance", "serving"):\n        (root / room).symlink_to(ROOT / room)\n    steps = root / "pipeline" / "steps.py"',
      '    library(root)\n    steps = root / "modelstack" / "pipeline" / "steps.py"'),
     ("def toy(root: Path)", '''def library(root: Path) -> None:
    """Put a copy of the library into a folder, with a pipeline that may be changed."""
    (root / "modelstack").mkdir(parents=True)
    for path in (SOURCES / "modelstack").iterdir():
        if path.name not in ("pipeline", "__pycache__"):
            (root / "modelstack" / path.name).symlink_to(path)
    pipeline_ = root / "modelstack" / "pipeline"
    shutil.copytree(SOURCES / "modelstack/pipeline", pipeline_, ignore=shutil.ignore_patterns("__pycache__"))


def toy(root: Path)'''),
     ("from modelstack.pipeline.steps import Pipeline\n", "from modelstack.pipeline.project import SOURCES\nfrom modelstack.pipeline.steps import Pipeline\n"),
     ("ROOT = Path(__file__).resolve().parents[4]\n", ""))
edit(f"{T}/pipeline/test_adding_a_step.py", ('''    for room in ("pipeline", "monitoring", "provenance", "serving"):
        shutil.copytree(SOURCES / room, own_daily / room, ignore=shutil.ignore_patterns("__pycache__"))
    (own_daily / "pipeline" / "size.py")''', '''    library(own_daily)
    (own_daily / "modelstack" / "pipeline" / "size.py")'''),
     ('steps = own_daily / "pipeline" / "steps.py"', 'steps = own_daily / "modelstack" / "pipeline" / "steps.py"'),
     ('size = added / "pipeline" / "size.py"', 'size = added / "modelstack" / "pipeline" / "size.py"'),
     ("from tests.process import python", "from tests.pipeline.toy import library\nfrom tests.process import python"))

FILES = {
    f"{LIB}/__init__.py": '"""modelstack: machine-learning models into production with Pulumi."""\n',
    f"{LIB}/py.typed": "",
    "infra/providers/__init__.py": '''"""The dynamic providers of stacks that were updated before the library was one package: their state has these names.

An update, a refresh or a `destroy` of such a stack loads a provider by the name in its state. The next update that changes
a resource writes the new name.
"""

import sys
from importlib import import_module

for _name in ("driving", "kubernetes_package", "kubernetes_trial", "mlflow", "package", "packaging", "trial"):
    sys.modules[f"{__name__}.{_name}"] = import_module(f"modelstack.program.providers.{_name}")
''',
    "packages/modelstack/pyproject.toml": '''[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "pulumi-modelstack"
version = "0.1.0"
description = "Machine-learning models into production with Pulumi: registry, canaries, drift alarms and rollbacks, on AWS or on one machine."
requires-python = ">=3.11"
license = "Apache-2.0"
# What each command and the program need on every platform; what serves and what trains is locked by the project.
dependencies = [
    "click>=8.1", "cryptography>=42", "httpx>=0.27", "jinja2>=3.1", "numpy>=1.26", "psutil>=5.9", "pulumi>=3.200,<4",
    "pydantic>=2.6,<3", "pyyaml>=6", "rich>=13",
]

[project.optional-dependencies]
aws = ["boto3>=1.35", "pulumi-aws>=7.51,<8"]
kubernetes = ["pg8000>=1.31", "pulumi-kubernetes>=4.20,<5"]
console = ["starlette>=0.40", "uvicorn>=0.30"]
local = ["localcloud-ml"]
mlflow = ["skops>=0.11"]
serving = ["httptools>=0.6", "msgspec>=0.18", "numpy>=1.26", "onnxruntime>=1.18", "uvloop>=0.19"]
training = ["joblib>=1.3", "onnx>=1.16", "pandas>=2.2", "scikit-learn>=1.5", "skl2onnx>=1.17"]

[project.scripts]
modelstack = "modelstack.cli.main:main"

[project.entry-points."modelstack.platforms"]
aws = "modelstack.platforms.aws.platform:PLATFORM"
kubernetes = "modelstack.platforms.kubernetes.platform:PLATFORM"

[tool.hatch.build.targets.wheel]
packages = ["src/modelstack"]
''',
}

edit(f"{L}/pipeline/locks.py", ('OURS = ("pipeline", "serving")\n"""Packages that a model may import: every training image holds both, every serving image the second."""',
     'OURS = ("modelstack", "pipeline", "serving")\n"""What a model may import of this library, in packages that were sealed before it was one package by two names."""'))
edit(f"{L}/program/main.py", ('\n\nif __name__ == "__main__":\n    pulumi.run(main)\n', "\n"),
     ("Entry point of the Pulumi program. ", "The Pulumi program. "))
FILES["infra/__main__.py"] = '''"""The program of this project. A team declares its own resources here, after those of the library."""

import pulumi

from modelstack.program.main import main

if __name__ == "__main__":
    pulumi.run(main)
'''
edit(f"{T}/platforms/aws/test_group_job.py", ('        assert (root / "pipeline" / "run.py").is_file()\n', ""))
edit(f"{T}/test_readme.py", ('("model", "requirements", "localcloud")', '("model", "requirements", "packages/localcloud")'))
edit(f"{T}/test_make.py", ('for name in ("Makefile", "localcloud", "pyproject.toml"):', 'for name in ("Makefile", "packages", "pyproject.toml"):'))
edit(f"{T}/pipeline/test_steps.py", ("['pipeline']", "['modelstack']"))
edit(f"{T}/bench/test_timings.py", ("modelstack/platforms/aws + modelstack/program/aws", "platforms/aws + program/aws"), ("infra/aws", "program/aws"), ("infra/awsome", "program/awsome") if False else ("program/aws", "program/aws"))

edit(f"{T}/bench/test_timings.py", ('"modelstack/cli/view"', '"cli/view"'))
edit(f"{L}/cli/report/stack_section.py", ("(`modelstack/policy/prices.json`)", "(`policy/prices.json`)"))
edit(f"{T}/cli/test_times.py", ('parents[4] / "cli"', f'parents[4] / "{LIB}/cli"')) if False else None
