#!/bin/sh
# Starts the host in the Python of the project at hand.
# Only a first guess for the language host: the engine tells the options again with each request, and they count.

host=${0%/*}/../@HOST@/main.py
venv=
case ${0##*/} in
pulumi-resource-*)
    part=dynamic
    venv=${PULUMI_RUNTIME_VIRTUALENV:-}
    [ -z "$venv" ] && [ "${PULUMI_RUNTIME_TOOLCHAIN:-}" = uv ] && venv=.venv
    ;;
*) part=language ;;
esac

dir=$PWD
while :; do
    for file in Pulumi.yaml Pulumi.yml PulumiPlugin.yaml PulumiPolicy.yaml; do
        [ -z "$venv" ] && [ -f "$dir/$file" ] || continue
        venv=$(sed -n "s/^[^#]*virtualenv[\"']*:[[:space:]]*[\"']*\([^\"',}#]*[^\"',}#[:space:]]\).*/\1/p" "$dir/$file" | head -n 1)
        [ -z "$venv" ] && grep -q "^[^#]*toolchain[\"']*:[[:space:]]*[\"']*uv" "$dir/$file" && venv=.venv
    done
    case $venv in
    /*) python=$venv/bin/python ;;
    ?*) python=${dir%/}/$venv/bin/python ;;
    *) python= ;;
    esac
    [ -n "$python" ] && [ -x "$python" ] && exec "$python" -u "$host" "$part" "$@"
    [ -n "$dir" ] || break
    dir=${dir%/*}
done

for python in "${PULUMI_PYTHON_CMD:-}" python3 python; do
    [ -n "$python" ] && command -v "$python" >/dev/null 2>&1 && exec "$python" -u "$host" "$part" "$@"
done
echo "No Python was found to run this project: create the virtual environment that Pulumi.yaml names, or put python3 on PATH." >&2
exit 1
