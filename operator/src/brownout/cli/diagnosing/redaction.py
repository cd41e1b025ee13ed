"""Secrets taken out of what leaves the cluster: out of objects by their structure, out of text by its form. Pure.

What is taken out: every value of an environment variable, and of a field, header or option whose name says that it is secret;
credentials in URLs; Authorization headers and bearer tokens, JWTs, PEM blocks, keys in well-known forms. Users who are held
back alone get pseudonyms. Rather too much than too little: what goes is replaced by a word, so that one sees that something was
there. A password in free prose, without anything that says what it is, looks like prose, and stays.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Any

GONE = "REDACTED"

_SECRET = (
    r"(?:password|passwd|passphrase|pwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credentials?|bearer)"
)
_HEADER = r"(?:(?:proxy-)?authorization|(?:set-)?cookie|x-[a-z0-9-]{0,40}(?:key|token|secret|auth)[a-z0-9-]{0,40})"
_QUOTE = r"\\*[\"']"
_REST = rf"[\w.-]{{0,40}}(?:{_QUOTE})?\s*[:=]\s*"
"""What may stand between a name that says that it is secret and its value. Every repetition here is bounded, and none begins
before a word that is looked for: a long line of a log must not take minutes."""

_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)"
    r"|^(?:[A-Za-z0-9+/=]{1,80}\s+){0,80}-----END [A-Z0-9 ]+-----",
    re.DOTALL | re.MULTILINE,
)
"""A block of PEM, also in one line, or without its end or its beginning."""

_SUSPECT = re.compile(
    rf"{_SECRET}|{_HEADER}|basic|digest|://|eyJ|\b(?:sk|pk|rk|gh[opsur]|github_pat|glpat|hf|xox[abprs])[-_]|AKIA|ASIA",
    re.IGNORECASE,
)
"""Lines without any of this go through as they are."""

_LINE: tuple[tuple[re.Pattern[str], str], ...] = (
    # user and password of a URL
    (re.compile(r"(://)[^\s\"'<>]{0,300}@"), rf"\1{GONE}@"),
    # a header, up to the end of its quotes or line
    (re.compile(rf"\b({_HEADER})({_QUOTE})?(\s*[:=]\s*)({_QUOTE})?[^\"'\\]+", re.IGNORECASE), rf"\1\2\3\4{GONE}"),
    (re.compile(r"\b(bearer|basic|digest)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1 {GONE}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"), GONE),
    # name: "value", name='value', also as JSON within JSON
    (re.compile(rf"({_SECRET}{_REST})({_QUOTE})(?:(?!\2).)*(\2|$)", re.IGNORECASE), rf"\1\2{GONE}\3"),
    (re.compile(rf"({_SECRET}{_REST})(?!{_QUOTE})[^\s,;&}}]+", re.IGNORECASE), rf"\1{GONE}"),
    # --name value
    (re.compile(rf"(--?[\w.-]{{0,40}}?{_SECRET}[\w.-]{{0,40}}\s+)(?!-)\S+", re.IGNORECASE), rf"\1{GONE}"),
    # keys whose makers gave them a form
    (re.compile(r"\b(?:sk|pk|rk|gh[opsur]|github_pat|glpat|hf|xox[abprs])[-_][A-Za-z0-9_-]{12,}"), GONE),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), GONE),
)

_NAME = re.compile(rf"{_SECRET}|^{_HEADER}$", re.IGNORECASE)
_ABOUT = re.compile(r"(?:name|ref|path|file|seconds|namespace|audience|type|kind|label|policy)s?$", re.IGNORECASE)
"""Ends of names that speak about a secret and do not hold it: secretName, tokenPath."""

_OPTION = re.compile(r"--?[\w.-]+$")
_DROPPED = ("managedFields", "kubectl.kubernetes.io/last-applied-configuration")
"""Copies of the whole object in another form."""


def is_secret(name: str) -> bool:
    """Whether a field, header or option of this name holds a secret."""
    return bool(_NAME.search(name)) and not _ABOUT.search(name)


class Redactor:
    """Takes out secrets, and gives users who are named in statuses a pseudonym: the same one everywhere."""

    def __init__(self, users: Iterable[str] = ()) -> None:
        self._users = {user: f"user-{hashlib.sha256(user.encode()).hexdigest()[:8]}" for user in users if user}
        names = sorted(self._users, key=len, reverse=True)
        self._named = (
            re.compile("|".join(rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in names)) if names else None
        )

    def text(self, text: str) -> str:
        """A log, a page of metrics, a sentence."""
        text = "\n".join(_line(line) for line in _BLOCK.sub(GONE, text).split("\n"))
        if self._named is not None:
            text = self._named.sub(lambda found: self._users[found.group()], text)
        return text

    def value(self, value: Any, name: str = "") -> Any:
        """Anything of JSON, under the name that it has in what it is in."""
        match value:
            case dict():
                return self._object(value, name)
            case list():
                return self._list(value, name)
            case str() if is_secret(name) and value:
                return GONE
            case str():
                return self.text(value)
            case int() | float() if is_secret(name) and not isinstance(value, bool) and abs(value) > 1_000_000:
                return GONE  # a PIN or a numeric key; a count of tokens, such as maxTokens, is none
            case _:
                return value

    def _object(self, body: dict[str, Any], name: str) -> dict[str, Any]:
        if body.get("kind") == "Secret" and "apiVersion" in body:
            return {"kind": "Secret", "data": GONE}
        held = name == "env" or is_secret(str(body.get("name", "")))
        found = {}
        for key, value in body.items():
            if key in _DROPPED:
                continue
            if held and key == "value":
                found[key] = GONE
            else:
                found[self.text(key)] = self.value(value, key)
        return found

    def _list(self, items: list[Any], name: str) -> list[Any]:
        found: list[Any] = []
        before = ""
        for item in items:
            if isinstance(item, str) and _OPTION.fullmatch(before) and is_secret(before):
                found.append(GONE)
            else:
                found.append(self.value(item, name))
            before = item if isinstance(item, str) else ""
        return found


def _line(line: str) -> str:
    if _SUSPECT.search(line):
        for pattern, instead in _LINE:
            line = pattern.sub(instead, line)
    return line


def users_of(policies: Iterable[dict[str, Any]]) -> list[str]:
    """The users whom the statuses of policies name."""
    cells = (cell for body in policies for cell in (body.get("status") or {}).get("cells") or ())
    return sorted({str(cell["user"]) for cell in cells if cell.get("user")})
