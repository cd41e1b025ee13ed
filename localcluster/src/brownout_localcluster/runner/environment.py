"""A container's environment and arguments: Kubernetes' rules, and what stands in for mounts and DNS. Pure.

A process without a mount namespace cannot find a volume at its mountPath, and there is no DNS. So in every argument and
value, a mountPath becomes the real folder, and the DNS name of a Service its ClusterIP.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

Manifest = dict[str, Any]

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.][\w.-]*)\)")
_SERVICE_NAME = re.compile(r"\b([a-z][a-z0-9-]*)\.([a-z0-9][a-z0-9-]*)\.svc(?:\.cluster\.local)?\b(?!-)")


class ConfigurationError(Exception):
    """A container cannot be started as it is written; the message says which object or key is missing."""


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replaces `$(NAME)` by its value where there is one; `$$` is a dollar sign. The rule of Kubernetes' `args` and `env`."""

    def one(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return variables.get(match[1], match[0])

    return _REFERENCE.sub(one, text)


def resolve_environment(
    container: Manifest,
    *,
    pod: Manifest,
    pod_ip: str,
    base: Mapping[str, str],
    config_map: Callable[[str], Mapping[str, str] | None],
    secret: Callable[[str], Mapping[str, str] | None],
) -> dict[str, str]:
    """The environment of `container`: `base`, then `envFrom`, then `env` in order, each value expanded with those before it.

    `config_map` and `secret` give an object's data by name, None if there is none. Raises ConfigurationError.
    """
    environment = dict(base)
    for source in container.get("envFrom", []):
        environment |= _env_from(source, config_map, secret)
    for entry in container.get("env", []):
        name = entry["name"]
        if "valueFrom" not in entry:
            environment[name] = expand(entry.get("value", ""), environment)
            continue
        value = _value_from(entry["valueFrom"], container, pod, pod_ip, config_map, secret)
        if value is not None:
            environment[name] = value
    return environment


def _env_from(
    source: Manifest,
    config_map: Callable[[str], Mapping[str, str] | None],
    secret: Callable[[str], Mapping[str, str] | None],
) -> dict[str, str]:
    prefix = source.get("prefix", "")
    for key, kind, read in (("configMapRef", "ConfigMap", config_map), ("secretRef", "Secret", secret)):
        reference = source.get(key)
        if reference is None:
            continue
        found = read(reference["name"])
        if found is None and not reference.get("optional"):
            raise ConfigurationError(f'{kind} "{reference["name"]}" not found')
        return {prefix + name: value for name, value in (found or {}).items()}
    return {}


def _value_from(
    source: Manifest,
    container: Manifest,
    pod: Manifest,
    pod_ip: str,
    config_map: Callable[[str], Mapping[str, str] | None],
    secret: Callable[[str], Mapping[str, str] | None],
) -> str | None:
    if "fieldRef" in source:
        return field(pod, source["fieldRef"]["fieldPath"], pod_ip=pod_ip)
    if "resourceFieldRef" in source:
        resources = container.get("resources", {})
        kind, _, name = source["resourceFieldRef"]["resource"].partition(".")
        return str(resources.get(kind, {}).get(name, "0"))
    for key, kind, read in (("configMapKeyRef", "ConfigMap", config_map), ("secretKeyRef", "Secret", secret)):
        reference = source.get(key)
        if reference is None:
            continue
        found = read(reference["name"])
        if found is not None and reference["key"] in found:
            return found[reference["key"]]
        if reference.get("optional"):
            return None
        if found is None:
            raise ConfigurationError(f'{kind} "{reference["name"]}" not found')
        raise ConfigurationError(f"couldn't find key {reference['key']} in {kind} {reference['name']}")
    raise ConfigurationError(f"valueFrom with {', '.join(source)} is not something the local cluster knows")


def field(pod: Manifest, path: str, *, pod_ip: str) -> str:
    """The value of a downward API field of `pod`. Raises ConfigurationError for one that is not known."""
    metadata = pod["metadata"]
    keyed = re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path)
    if keyed:
        return str(metadata.get(keyed[1], {}).get(keyed[2], ""))
    values = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": pod["spec"].get("nodeName", ""),
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", "default"),
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
        "status.hostIP": pod.get("status", {}).get("hostIP", ""),
    }
    if path not in values:
        raise ConfigurationError(f"the local cluster does not know the field {path}; it knows {', '.join(values)}")
    return str(values[path])


def service_variables(services: list[Manifest]) -> dict[str, str]:
    """The `NAME_SERVICE_HOST` and `NAME_SERVICE_PORT` variables that a pod finds for the Services of its namespace."""
    variables: dict[str, str] = {}
    for service in services:
        address = service["spec"].get("clusterIP", "None")
        ports = service["spec"].get("ports", [])
        if address in ("", "None") or not ports:
            continue
        name = service["metadata"]["name"].upper().replace("-", "_")
        variables[f"{name}_SERVICE_HOST"] = address
        variables[f"{name}_SERVICE_PORT"] = str(ports[0]["port"])
        for port in ports:
            if "name" in port:
                variables[f"{name}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    return variables


def place(text: str, *, mounts: Mapping[str, str], service_address: Callable[[str, str], str | None]) -> str:
    """`text` with mount paths replaced by real folders, and DNS names of Services by their addresses.

    A mount path is replaced at the start of the text and after `=`, `:` or `,`, the longest first. `service_address` gives a
    ClusterIP by namespace and name, or None.
    """

    def address(match: re.Match[str]) -> str:
        return service_address(match[2], match[1]) or match[0]

    if mounts:
        longest_first = sorted(mounts, key=len, reverse=True)
        pattern = "|".join(re.escape(path.rstrip("/")) for path in longest_first)
        real = {path.rstrip("/"): folder for path, folder in mounts.items()}
        text = re.sub(rf"(^|[=:,])({pattern})(?=/|$|[:,])", lambda match: match[1] + real[match[2]], text)
    return _SERVICE_NAME.sub(address, text)
