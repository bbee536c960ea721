"""AWS IAM roles, their inline policies and attachments."""

from __future__ import annotations

from localcloud.awsplugin.cloud import Scope
from localcloud.awsplugin.failures import InvalidError
from localcloud.awsplugin.spec import Change, Name, Names, Prop, Resource, TagApi
from localcloud.awsplugin.wire import Props

ROLE = Names("aws:iam/role:Role", {"assumeRolePolicy": "AssumeRolePolicyDocument", "name": "RoleName"})
_ROLE_TAGS = TagApi("list_role_tags", "tag_role", "untag_role", "RoleName", at="name")


def _create_role(s: Scope, p: Props) -> Props:
    names = ("name", "path", "description", "assumeRolePolicy", "maxSessionDuration", "permissionsBoundary")
    made = s("iam").create_role(**ROLE.request(p, *names), Tags=_ROLE_TAGS.pack(p["tags"]))["Role"]
    return {"arn": made["Arn"]}


def _read_role(s: Scope, k: Props) -> Props:
    live = s("iam").get_role(RoleName=k["name"])["Role"]
    boundary = live.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    return {
        "arn": live["Arn"],
        "createDate": f"{live['CreateDate']:%Y-%m-%dT%H:%M:%SZ}",
        "uniqueId": live["RoleId"],
        "assumeRolePolicy": live["AssumeRolePolicyDocument"],
        "permissionsBoundary": boundary,
        **ROLE.state(live, "name", "path", "description", "maxSessionDuration"),
    }


def _update_role(s: Scope, k: Props, p: Props, change: Change) -> None:
    iam, name = s("iam"), k["name"]
    if change.any("assumeRolePolicy"):
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=p["assumeRolePolicy"])
    if change.any("description"):
        iam.update_role_description(RoleName=name, Description=p.get("description", ""))
    if change.any("maxSessionDuration"):
        iam.update_role(RoleName=name, MaxSessionDuration=p.get("maxSessionDuration", 3600))
    if change.any("permissionsBoundary"):
        if "permissionsBoundary" in p:
            iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=p["permissionsBoundary"])
        else:
            iam.delete_role_permissions_boundary(RoleName=name)


def _delete_role(s: Scope, k: Props) -> None:
    iam, name = s("iam"), k["name"]
    if k.get("forceDetachPolicies"):
        for page in iam.get_paginator("list_attached_role_policies").paginate(RoleName=name):
            for policy in page["AttachedPolicies"]:
                iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
        for page in iam.get_paginator("list_role_policies").paginate(RoleName=name):
            for policy in page["PolicyNames"]:
                iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)


RESOURCE_ROLE = Resource(
    "aws:iam/role:Role",
    props={
        "name": Prop(replace=True, computed=True),
        "namePrefix": Prop(replace=True, local=True),
        "path": Prop(replace=True, default="/"),
        "description": Prop(default=""),
        "assumeRolePolicy": Prop(json=True),
        "maxSessionDuration": Prop(default=3600),
        "permissionsBoundary": Prop(),
        "forceDetachPolicies": Prop(local=True, default=False),
    },
    ident="name",
    outputs=("arn", "createDate", "uniqueId"),
    name=Name(limit=64, prefix="namePrefix"),
    tags=_ROLE_TAGS,
    region=False,
    create=_create_role,
    read=_read_role,
    update=_update_role,
    delete=_delete_role,
)


def _put_role_policy(s: Scope, p: Props) -> None:
    s("iam").put_role_policy(RoleName=p["role"], PolicyName=p["name"], PolicyDocument=p["policy"])


def _read_role_policy(s: Scope, k: Props) -> Props:
    live = s("iam").get_role_policy(RoleName=k["role"], PolicyName=k["name"])
    return {"role": live["RoleName"], "name": live["PolicyName"], "policy": live["PolicyDocument"]}


def _parts(ident: str, separator: str, form: str) -> tuple[str, str]:
    role, found, rest = ident.partition(separator)
    if not (role and found and rest):
        raise InvalidError(f"{ident!r} is not of the form {form}")
    return role, rest


def _parse_role_policy(ident: str) -> Props:
    role, name = _parts(ident, ":", "role_name:policy_name")
    return {"role": role, "name": name}


ROLE_POLICY = Resource(
    "aws:iam/rolePolicy:RolePolicy",
    props={
        "name": Prop(replace=True, computed=True),
        "namePrefix": Prop(replace=True, local=True),
        "role": Prop(replace=True),
        "policy": Prop(json=True),
    },
    ident=lambda k: f"{k['role']}:{k['name']}",
    parse=_parse_role_policy,
    name=Name(limit=128, prefix="namePrefix"),
    identity=("role",),
    region=False,
    create=_put_role_policy,
    read=_read_role_policy,
    update=lambda s, k, p, _: _put_role_policy(s, {**k, "policy": p["policy"]}),
    delete=lambda s, k: s("iam").delete_role_policy(RoleName=k["role"], PolicyName=k["name"]),
)


def _attach(s: Scope, p: Props) -> None:
    s("iam").attach_role_policy(RoleName=p["role"], PolicyArn=p["policyArn"])


def _read_attachment(s: Scope, k: Props) -> Props | None:
    for page in s("iam").get_paginator("list_attached_role_policies").paginate(RoleName=k["role"]):
        if any(policy["PolicyArn"] == k["policyArn"] for policy in page["AttachedPolicies"]):
            return {"role": k["role"], "policyArn": k["policyArn"]}
    return None


def _parse_attachment(ident: str) -> Props:
    role, policy = _parts(ident, "/", "role_name/policy_arn")
    return {"role": role, "policyArn": policy}


ROLE_POLICY_ATTACHMENT = Resource(
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    props={"role": Prop(replace=True), "policyArn": Prop(replace=True)},
    ident=lambda k: f"{k['role']}/{k['policyArn']}",
    parse=_parse_attachment,
    identity=("role", "policyArn"),
    region=False,
    create=_attach,
    read=_read_attachment,
    delete=lambda s, k: s("iam").detach_role_policy(RoleName=k["role"], PolicyArn=k["policyArn"]),
)

RESOURCES = (RESOURCE_ROLE, ROLE_POLICY, ROLE_POLICY_ATTACHMENT)
