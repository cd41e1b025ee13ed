"""What a ServiceAccount was granted, and what it did of that: by roles as text, and by the API server's audit log."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

Manifest = dict[str, Any]
Event = dict[str, Any]


class Right(NamedTuple):
    """One verb on one resource (`pods`, `deployments/scale`); in a namespace, or with an empty one in all; of one name, or any."""

    namespace: str
    group: str
    resource: str
    verb: str
    name: str = ""

    def covers(self, other: "Right") -> bool:
        """Whether it allows that."""
        exact = (self.group, self.resource, self.verb) == (other.group, other.resource, other.verb)
        return exact and self.namespace in ("", other.namespace) and self.name in ("", other.name)

    def __str__(self) -> str:
        of = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {of}{f' {self.name}' if self.name else ''} in {self.namespace or 'all namespaces'}"


def granted(objects: Iterable[Manifest], account: str, *, namespace: str) -> set[Right]:
    """What the roles among some objects grant an account."""
    objects = list(objects)
    roles = {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in objects}
    found: set[Right] = set()
    for binding in objects:
        if not binding["kind"].endswith("RoleBinding"):
            continue
        if {"kind": "ServiceAccount", "name": account, "namespace": namespace} not in binding["subjects"]:
            continue
        ref, within = binding["roleRef"], binding["metadata"].get("namespace", "")
        role = roles[ref["kind"], within if ref["kind"] == "Role" else "", ref["name"]]
        found.update(_of(role, within))
    return found


def _of(role: Manifest, namespace: str) -> Iterator[Right]:
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    for name in rule.get("resourceNames", [""]):
                        yield Right(namespace, group, resource, verb, name)


def used(events: Iterable[Event], account: str, *, namespace: str) -> set[Right]:
    """What an account did. An apply that made an object needed `create` besides `patch`, which the log does not say."""
    found: set[Right] = set()
    for event in _by(events, account, namespace):
        if refused(event):
            continue
        done = _done(event)
        found.add(done)
        if done.verb == "patch" and event.get("responseStatus", {}).get("code") == 201:
            found.add(done._replace(verb="create"))
    return found


def denied(events: Iterable[Event], account: str, *, namespace: str) -> set[Right]:
    """What an account tried and was not allowed."""
    return {_done(event) for event in _by(events, account, namespace) if refused(event)}


def refused(event: Event) -> bool:
    return bool(event.get("responseStatus", {}).get("code") == 403)


def unused(grants: Iterable[Right], uses: Iterable[Right]) -> list[str]:
    """The rights that nothing was done with, as sentences."""
    uses = list(uses)
    return sorted(str(right) for right in grants if not any(right.covers(use) for use in uses))


def _by(events: Iterable[Event], account: str, namespace: str) -> Iterator[Event]:
    """What an account asked about objects; discovery, which everybody may, names none."""
    user = f"system:serviceaccount:{namespace}:{account}"
    for event in events:
        if event["user"]["username"] == user and "resource" in event.get("objectRef", {}):
            yield event


def _done(event: Event) -> Right:
    ref = event["objectRef"]
    resource = "/".join(part for part in (ref["resource"], ref.get("subresource")) if part)
    return Right(ref.get("namespace", ""), ref.get("apiGroup", ""), resource, event["verb"], ref.get("name", ""))
