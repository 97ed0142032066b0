"""Reads the tree of the code for SQL that is anything but constant text."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Trees: TypeAlias = Mapping[str, ast.Module]

# Methods whose first argument is a statement, of connections, pools, transactions and Database.
RUNS_SQL = frozenset(
    {"fetch", "fetchrow", "fetchval", "fetchmany", "execute", "executemany", "cursor", "prepare",
     "copy_from_query"}
)  # fmt: skip
# Classes whose field `sql` is one, and its place: what it is made with is looked at there.
HOLDS_SQL = {"Condition": 0, "Filter": 2, "Migration": 2}


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an expression stands: its module and the functions around it, the innermost last."""

    module: str
    functions: tuple[Function, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """Text that may come from outside. function: the innermost around it."""

    module: str
    function: str
    line: int
    text: str


@dataclass
class Reader:
    """trees: the parsed modules, by their path."""

    trees: Trees
    # Names under question further up: a list that is appended to itself is no news.
    _asked: set[tuple[str, str, str]] = field(default_factory=set[tuple[str, str, str]])
    _nodes: list[tuple[Scope, ast.AST]] = field(default_factory=list[tuple[Scope, ast.AST]])

    def __post_init__(self) -> None:
        for module, tree in self.trees.items():
            self._nodes += _walk(tree, Scope(module))

    def findings(self) -> list[Found]:
        """Every statement and every piece of one that is not constant."""
        found: list[Found] = []
        called = {node.func for _, node in self._nodes if isinstance(node, ast.Call)}
        for scope, node in self._nodes:
            if isinstance(node, ast.Call) and (text := self._statement(node)) is not None:
                if not self._is_argument_of_sink(scope, text) and not self.constant(text, scope):
                    found.append(_found(scope, text))
            elif isinstance(node, ast.Attribute) and node.attr in RUNS_SQL and node not in called:
                # Handed on: what it will run is out of sight.
                found.append(_found(scope, node))
        return found

    def _statement(self, call: ast.Call) -> ast.expr | None:
        """The argument that is SQL, if one is."""
        if isinstance(call.func, ast.Attribute) and call.func.attr in RUNS_SQL:
            return call.args[0] if call.args else None
        if isinstance(call.func, ast.Name) and call.func.id in HOLDS_SQL:
            return _argument(call, HOLDS_SQL[call.func.id], "sql")
        return None

    def _is_argument_of_sink(self, scope: Scope, text: ast.expr) -> bool:
        """Whether it is what a `fetch` of ours hands on: its own callers are looked at."""
        function = scope.functions[-1] if scope.functions else None
        return (
            function is not None
            and function.name in RUNS_SQL
            and isinstance(text, ast.Name)
            and text.id in _parameters(function)
        )

    def constant(self, node: ast.expr, scope: Scope) -> bool:
        """Whether the text is made of literals alone, or of numbers."""
        match node:
            case ast.Constant(value=str() | int()):
                return True
            case ast.JoinedStr(values=values):
                return all(self.constant(each, scope) for each in values)
            case ast.FormattedValue(value=value, conversion=-1, format_spec=spec):
                return _is_whole(spec) or (spec is None and self.constant(value, scope))
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self.constant(left, scope) and self.constant(right, scope)
            case ast.IfExp(body=body, orelse=other):
                return self.constant(body, scope) and self.constant(other, scope)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return all(self.constant(each, scope) for each in parts)
            case ast.Starred(value=value):
                return self.constant(value, scope)
            case ast.Dict(values=values):
                return all(self.constant(each, scope) for each in values)
            case ast.Subscript(value=value):
                return self.constant(value, scope)
            case ast.Attribute(attr="sql"):
                return True
            case ast.Call():
                return self._constant_call(node, scope)
            case ast.GeneratorExp() | ast.ListComp():
                return self._constant_parts(node, scope)
            case ast.Name():
                return self._constant_name(node.id, scope)
            case _:
                return False

    def _constant_call(self, call: ast.Call, scope: Scope) -> bool:
        match call:
            case ast.Call(func=ast.Name(id="len" | "range")):
                return True
            case ast.Call(func=ast.Name(id="tuple" | "list" | "enumerate"), args=[first, *_]):
                return self.constant(first, scope)
            case ast.Call(func=ast.Attribute(value=text, attr="join" | "format")):
                given = [*call.args, *(each.value for each in call.keywords)]
                return all(self.constant(each, scope) for each in (text, *given))
            case ast.Call(func=ast.Attribute(value=table, attr="get"), args=[_, *default]):
                return all(self.constant(each, scope) for each in (table, *default))
            case _:
                return False

    def _constant_parts(self, node: ast.GeneratorExp | ast.ListComp, scope: Scope) -> bool:
        """A comprehension over constants, numbers, or the fields of a dataclass."""
        (over,) = node.generators
        fields = isinstance(over.iter, ast.Call) and ast.unparse(over.iter.func) == "fields"
        if fields and isinstance(over.target, ast.Name):
            return ast.unparse(node.elt) == f"{over.target.id}.name"
        return self.constant(over.iter, scope) and self.constant(node.elt, scope)

    def _constant_name(self, name: str, scope: Scope) -> bool:
        """A local that is only ever given constants, a parameter likewise, or a module's."""
        asked = (scope.module, _path(scope), name)
        if asked in self._asked:
            return True
        self._asked.add(asked)
        try:
            return self._ask_name(name, scope)
        finally:
            self._asked.remove(asked)

    def _ask_name(self, name: str, scope: Scope) -> bool:
        if not scope.functions:
            given = list(_given(self.trees[scope.module], name))
            return (
                all(self.constant(each, scope) for each in given)
                if given
                else self._imported(name, scope.module)
            )
        function = scope.functions[-1]
        given = list(_given(function, name))
        if name in _parameters(function):
            return self._constant_parameter(function, name, scope.module) and all(
                self.constant(each, scope) for each in given
            )
        if given:
            return all(self.constant(each, scope) for each in given)
        return self._constant_name(name, Scope(scope.module, scope.functions[:-1]))

    def _imported(self, name: str, module: str) -> bool:
        for node in self.trees[module].body:
            if isinstance(node, ast.ImportFrom) and name in {each.name for each in node.names}:
                path = (node.module or "").removeprefix("refundry.").replace(".", "/") + ".py"
                return path in self.trees and self._constant_name(name, Scope(path))
        return False

    def _constant_parameter(self, function: Function, name: str, module: str) -> bool:
        """Whether every caller gives a constant; one that is out of sight is none."""
        place = _parameters(function).index(name)
        default = _default(function, name)
        calls = list(self._calls(function.name, module))
        seen = {call.func for _, call in calls}
        for scope, node in self._nodes:
            if function.name.startswith("_") and scope.module != module:
                continue
            if isinstance(node, ast.Name) and node.id == function.name and node not in seen:
                return False
        for scope, call in calls:
            given = _argument(call, place, name) or default
            if given is None or not self.constant(given, scope):
                return False
        return bool(calls)

    def _calls(self, name: str, module: str) -> Iterator[tuple[Scope, ast.Call]]:
        """Calls of a function by its name; of a private one, those in its own module."""
        for scope, node in self._nodes:
            if name.startswith("_") and scope.module != module:
                continue
            if isinstance(node, ast.Call) and name in (
                getattr(node.func, "id", None),
                getattr(node.func, "attr", None),
            ):
                yield scope, node


def _walk(node: ast.AST, scope: Scope) -> Iterator[tuple[Scope, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        inside = scope
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = Scope(scope.module, (*scope.functions, child))
        yield scope, child
        yield from _walk(child, inside)


def _given(holder: ast.Module | Function, name: str) -> Iterator[ast.expr]:
    """What a name of this very scope is given, and what is appended to it."""
    for scope, node in _walk(holder, Scope("")):
        if scope.functions:
            continue
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                yield value
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if (
                target == name
            ):
                yield value
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=target))], value=value) if (
                target == name
            ):
                yield value
            case ast.AugAssign(target=ast.Name(id=target), value=value) if target == name:
                yield value
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=target), attr="append" | "extend" | "insert"),
                args=args,
            ) if target == name:
                yield from args
            case (
                ast.For(target=target, iter=iterated)
                | ast.comprehension(target=target, iter=iterated)
            ) if name in _names(target):
                yield iterated
            case ast.Assign(targets=targets) if any(
                name in _names(each) for each in targets if not isinstance(each, ast.Subscript)
            ):
                yield ast.Constant(None)  # taken apart: not followed
            case _:
                pass


def _names(target: ast.expr) -> set[str]:
    return {each.id for each in ast.walk(target) if isinstance(each, ast.Name)}


def _parameters(function: Function) -> list[str]:
    every = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    return [each.arg for each in every if each.arg != "self"]


def _default(function: Function, name: str) -> ast.expr | None:
    arguments = function.args
    plain = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    named = dict(zip(reversed(plain), reversed(arguments.defaults), strict=False))
    only = zip((each.arg for each in arguments.kwonlyargs), arguments.kw_defaults, strict=True)
    return named.get(name) or dict(only).get(name)


def _argument(call: ast.Call, place: int, name: str) -> ast.expr | None:
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    return call.args[place] if place < len(call.args) else None


def _is_whole(spec: ast.expr | None) -> bool:
    """Whether the format takes whole numbers only: text in it is an error."""
    return spec is not None and ast.unparse(spec) == "f'd'"


def _path(scope: Scope) -> str:
    return ".".join(f"{each.name}:{each.lineno}" for each in scope.functions)


def _found(scope: Scope, node: ast.expr) -> Found:
    function = scope.functions[-1].name if scope.functions else "<module>"
    return Found(scope.module, function, node.lineno, ast.unparse(node))
