"""Objects from files: manifests, or what `kubectl get brownout -A -o yaml` wrote when the cluster is far, or long gone."""

from collections.abc import Iterable
from typing import Any

from brownout.api.resources import RESOURCES, InvalidObject, Stored, decode
from brownout.cli.failure import failed
from brownout.cli.overview import Objects
from brownout.cli.validation.manifests import Manifest, UnreadableError, read, texts
from brownout.cli.validation.objects import is_ours
from brownout.observe.facts import created_at


def manifests(names: Iterable[str]) -> list[Manifest]:
    """The documents in files and folders (- is standard input). Raises CommandError where one cannot be read."""
    try:
        given = list(texts(list(names)))
        return [manifest for name, text in given for manifest in read(name, text)]
    except OSError as error:
        raise failed(str(error) if error.filename is None else f"{error.filename}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise failed(f"a file is not UTF-8 text: {error}") from None
    except UnreadableError as error:
        raise failed(str(error)) from None


def from_files(
    names: Iterable[str], kinds: Iterable[str], namespace: str | None, *, default_namespace: str = "", now: float = 0.0
) -> Objects:
    """The objects of these kinds in files: those of a namespace (None: of all), and all that have none.

    What a person writes may name no namespace and has no creationTimestamp: it then is in `default_namespace`, and made at
    `now` (Unix seconds). Raises CommandError.
    """
    resources = {resource.kind: resource for resource in RESOURCES if resource.kind in set(kinds)}
    found: dict[str, list[Stored[Any, Any] | InvalidObject]] = {kind: [] for kind in resources}
    for body in (manifest.body for manifest in manifests(names)):
        resource = resources.get(str(body.get("kind"))) if is_ours(body) else None
        if resource is None:
            continue
        meta = body.get("metadata") or {}
        own = (meta.get("namespace") or default_namespace) if resource.namespaced else ""
        placed = body | {"metadata": meta | {"namespace": own}}
        one = decode(resource, placed, created_at(body) or now)
        if namespace in (None, one.key.namespace) or not one.key.namespace:
            found[resource.kind].append(one)
    return found
