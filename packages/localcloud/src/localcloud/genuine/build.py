"""Build a command from the provider's Go module, cut to the services that the local plugin serves.

The provider's code is below `internal/`, so the command has to be a package of the provider's own module: it replaces
`main.go` in a copy of that module. Two generated files list all services; without the others it takes minutes to build.
"""

import hashlib
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from localcloud.setup import golang
from localcloud.setup.commands import require_space
from localcloud.setup.environments import Installer
from localcloud.setup.exclusive import exclusive
from localcloud.setup.places import Places

_MODULE = Path(__file__).parent
_PROVIDER = "github.com/hashicorp/terraform-provider-aws"
_GIGABYTES = 5.0
_SERVICES = "cloudwatch dynamodb ecr events iam kms lambda logs s3 sagemaker scheduler sns sqs sts"
# Some of them call further services.
_CLIENTS = (
    "account cloudwatch cloudwatchlogs dynamodb ecr eventbridge iam kms lambda s3 s3control sagemaker scheduler sns sqs"
    " sts"
)
_CUTS = {
    "internal/provider/sdkv2/service_packages_gen.go": (
        (r'^\t"[^"]*/internal/service/(\w+)"\n', _SERVICES),
        (r"^\t\t(\w+)\.ServicePackage\(ctx\),\n", _SERVICES),
    ),
    "internal/conns/awsclient_gen.go": (
        (r'^\t"[^"]*/aws-sdk-go-v2/service/(\w+)"\n', _CLIENTS),
        (r"^func .*\*(\w+)\.Client \{\n.*\n\}\n", _CLIENTS),
    ),
    # EC2 is larger than all of these services together. Only resources in a VPC need it.
    "internal/service/lambda/function.go": (
        (r'^\t(?:\w+ )?"[^"]*/service/(ec2)"\n', ""),
        (r"^\tif [^\n]*(replace_security_groups_on_destroy)(?:.*\n)*?\t\}\n", ""),
        (r"^func (replaceSecurityGroupsOnDestroy)(?:.*\n)*?\}\n", ""),
    ),
    "internal/service/sagemaker/training_job.go": (
        (r'^\t(?:\w+ )?"[^"]*/service/(ec2)(?:/types)?"\n', ""),
        (r"^\tif state\.(DeleteVPCENIsOnDestroy)(?:.*\n)*?\t\}\n", ""),
        (r"^func (deleteTrainingJobVPCENIs)(?:.*\n)*?\}\n", ""),
    ),
} | {
    # Local answers are consistent at once; the genuine ones have to be the same for minutes.
    f"internal/service/{file}.go": ((r"^\t+(ContinuousTargetOccurence): .*\n", ""),)
    for file in (
        *("dynamodb/tags_gen", "dynamodb/update_tags_for_resource_gen", "dynamodb/wait", "iam/role", "kms/key"),
        *("kms/tags_gen", "s3/bucket_lifecycle_configuration", "s3/bucket_versioning", "sqs/queue"),
    )
}
"""File -> patterns of the entries of one service each, and the services that stay."""


def command(places: Places) -> Path:
    """Where the command is, or will be: other sources are another folder."""
    content = hashlib.sha256()
    for file in sorted(_MODULE.glob("*.go")) + [_MODULE / name for name in ("go.mod", "go.sum", "build.py")]:
        content.update(hashlib.sha256(file.read_bytes()).digest())
    return places.cache / f"genuine-aws-{content.hexdigest()[:12]}" / _PROVIDER.rpartition("/")[2]


def build(places: Places, installer: Installer) -> Path:
    """Build the command into the user's cache, unless it is there.

    Returns:
        Its path.

    Raises:
        SetupFailed: It could not be built.
    """
    target, log = command(places), places.logs / "genuine.log"
    with exclusive(places.cache / ".genuine-aws.lock", "the genuine AWS provider"):
        if not target.exists():
            require_space(places.cache, _GIGABYTES, "Building the genuine AWS provider")
            with golang.found(places, installer, _MODULE) as go, TemporaryDirectory() as scratch:
                module = Path(scratch, "module")
                provider = golang.source(go, _MODULE, _PROVIDER, log)
                ignored = shutil.ignore_patterns("*_test.go", "docs", "website")
                shutil.copytree(provider, module, ignore=ignored, copy_function=shutil.copyfile)
                for name, cuts in _CUTS.items():
                    file = module / name
                    file.write_text(cut(file.read_text(), cuts))
                shutil.copyfile(_MODULE / "main.go", module / "main.go")
                golang.build(go, golang.Build("the genuine AWS provider", module, (".",)), target.parent, log)
    return target


def cut(text: str, cuts: tuple[tuple[str, str], ...]) -> str:
    """Remove the entries of services that are not among those that stay."""
    for pattern, stay in cuts:
        services = stay.split()
        text = re.sub(pattern, lambda entry: entry[0] if entry[1] in services else "", text, flags=re.MULTILINE)  # noqa: B023
    return text
