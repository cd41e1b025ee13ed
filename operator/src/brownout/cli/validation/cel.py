"""Evaluates the part of CEL that the rules of `brownout.api` use, so that they hold offline too, from the same text.

Supported: literals, fields, indexes, lists, `! && || ?: == != < <= > >= in + -`, `has size type int string matches`, and the
macros `all exists exists_one`. Anything else is an error when the rule is read, never a wrong answer.
Language: the Common Expression Language's specification; escapes of reserved words: Kubernetes' validation rules.
"""

import operator
import re
from collections.abc import Callable
from typing import Any

Names = dict[str, Any]
Value = Callable[[Names], Any]

_TOKEN = re.compile(r"\s*(\d+|'[^']*'|[A-Za-z_]\w*|&&|\|\||[=!<>]=|[-!<>+?:.,()\[\]])")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda item, items: item in items,
}
_WORDS: Names = {"true": True, "false": False, "null": None, "int": int, "string": str}
_CALLS: dict[str, Callable[..., Any]] = {"size": len, "type": type, "int": int, "string": str}


class NoSuchKeyError(Exception):
    """A rule asked for a field that is not there; the API server refuses such an object too."""


class UnknownSyntaxError(Exception):
    """A rule that this evaluator does not understand."""


def rule(text: str) -> Callable[[Any], bool]:
    """A rule as a function of `self`. Raises UnknownSyntaxError."""
    parser = _Parser(text)
    value = parser.expression()
    parser.end()
    return lambda this: bool(value({"self": this}))


class _Parser:
    """Recursive descent: each method reads one level of precedence and returns a function of the names in scope."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[str] = _TOKEN.findall(text)
        if re.sub(r"\s", "", text) != re.sub(r"\s", "", "".join(self._tokens)):
            raise UnknownSyntaxError(text)

    def end(self) -> None:
        if self._tokens:
            raise UnknownSyntaxError(f"{self._text}: {self._tokens[0]}")

    def expression(self) -> Value:
        condition = self._or()
        if not self._skip("?"):
            return condition
        then = self.expression()
        self._need(":")
        otherwise = self.expression()
        return lambda names: then(names) if condition(names) else otherwise(names)

    def _or(self) -> Value:
        left = self._and()
        while self._skip("||"):
            left = _either(left, self._and())
        return left

    def _and(self) -> Value:
        left = self._comparison()
        while self._skip("&&"):
            left = _both(left, self._comparison())
        return left

    def _comparison(self) -> Value:
        left = self._sum()
        while self._peek() in _COMPARE:
            left = _applied(_COMPARE[self._next()], left, self._sum())
        return left

    def _sum(self) -> Value:
        left = self._not()
        while self._peek() in ("+", "-"):
            left = _applied(operator.add if self._next() == "+" else operator.sub, left, self._not())
        return left

    def _not(self) -> Value:
        if self._skip("!"):
            inner = self._not()
            return lambda names: not inner(names)
        return self._selected(self._primary())

    def _selected(self, value: Value) -> Value:
        while True:
            if self._skip("["):
                value = _applied(_at, value, self.expression())
                self._need("]")
            elif self._skip("."):
                name = self._name()
                value = self._method(value, name) if self._skip("(") else _field(value, _unescaped(name))
            else:
                return value

    def _method(self, value: Value, name: str) -> Value:
        if name == "matches":
            return _applied(lambda text, pattern: re.search(pattern, text) is not None, value, *self._arguments())
        if name not in _MACROS:
            raise UnknownSyntaxError(f"{self._text}: {name}")
        variable = self._name()
        self._need(",")
        body = self.expression()
        self._need(")")
        fold = _MACROS[name]
        return lambda names: fold([bool(body({**names, variable: item})) for item in value(names)])

    def _primary(self) -> Value:
        token = self._next()
        if token == "(":
            inner = self.expression()
            self._need(")")
            return inner
        if token == "[":
            items = self._arguments("]")
            return lambda names: [item(names) for item in items]
        if token[0] == "'" or token.isdigit():
            literal = token[1:-1] if token[0] == "'" else int(token)
            return lambda names: literal
        if self._skip("("):
            return self._call(token)
        if token in _WORDS:
            return lambda names: _WORDS[token]
        if not token.isidentifier():
            raise UnknownSyntaxError(f"{self._text}: {token}")
        return lambda names: names[token]

    def _call(self, name: str) -> Value:
        arguments = self._arguments()
        if name == "has":
            return _present(arguments[0])
        if name not in _CALLS:
            raise UnknownSyntaxError(f"{self._text}: {name}")
        return _applied(_CALLS[name], *arguments)

    def _arguments(self, close: str = ")") -> list[Value]:
        found: list[Value] = []
        while not self._skip(close):
            found.append(self.expression())
            self._skip(",")
        return found

    def _peek(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _next(self) -> str:
        if not self._tokens:
            raise UnknownSyntaxError(f"{self._text}: it ends too early")
        return self._tokens.pop(0)

    def _name(self) -> str:
        name = self._next()
        if not name.isidentifier():
            raise UnknownSyntaxError(f"{self._text}: {name}")
        return name

    def _skip(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._tokens.pop(0)
        return True

    def _need(self, token: str) -> None:
        if not self._skip(token):
            raise UnknownSyntaxError(f"{self._text}: {token} is missing")


_MACROS: dict[str, Callable[[list[bool]], bool]] = {
    "all": all,
    "exists": any,
    "exists_one": lambda results: results.count(True) == 1,
}


def _either(left: Value, right: Value) -> Value:
    return lambda names: left(names) or right(names)


def _both(left: Value, right: Value) -> Value:
    return lambda names: left(names) and right(names)


def _applied(function: Callable[..., Any], *arguments: Value) -> Value:
    return lambda names: function(*(argument(names) for argument in arguments))


def _at(value: Any, index: Any) -> Any:
    return value[index]


def _field(value: Value, name: str) -> Value:
    def read(names: Names) -> Any:
        try:
            return value(names)[name]
        except KeyError:
            raise NoSuchKeyError(name) from None

    return read


def _present(value: Value) -> Value:
    def look(names: Names) -> bool:
        try:
            value(names)
        except NoSuchKeyError:
            return False
        return True

    return look


def _unescaped(name: str) -> str:
    return name[2:-2] if name.startswith("__") and name.endswith("__") else name
