"""No statement is put together from anything but constants: what callers say goes as a parameter.

This takes the place of the guesses of ruff and bandit (S608, B608), which see text put together but
not of what.
"""

import ast
from textwrap import dedent

import pytest

import refundry
from tests.support.service import ROOT
from tests.unit.sql_reader import Found, Reader

SOURCE = ROOT / "src" / "refundry"
# Module and function -> why its SQL is no constant all the same.
REASONS = {
    (
        "backup/rows.py",
        "count_rows",
    ): "names of tables, read from the catalogue, quoted by the server",
    (
        "db/listing.py",
        "list_ids",
    ): "put together by list_statement of the routes' constants; what is sent is a parameter",
    ("db/database.py", "fetch_planned"): "no statement but what a prepared one is run with",
    ("db/migrate.py", "_read"): "the text of a migration, a file of the package",
    ("db/migrate.py", "_run_beside_others"): "a statement of such a text",
    (
        "db/migrate.py",
        "_drop_unfinished",
    ): "the name of an index, read from the catalogue, quoted by the server",
}


def test_every_statement_is_constant() -> None:
    trees = {
        str(path.relative_to(SOURCE)): ast.parse(path.read_text("utf-8"))
        for path in SOURCE.rglob("*.py")
    }
    assert refundry.__file__ == str(SOURCE / "__init__.py")
    found = Reader(trees).findings()
    unexplained = [each for each in found if (each.module, each.function) not in REASONS]
    assert unexplained == []
    assert {(each.module, each.function) for each in found} == set(REASONS)


def findings(text: str, **others: str) -> list[Found]:
    """What is found in a module that begins with `text`; others: further ones by name."""
    trees = {"here.py": ast.parse(dedent(text))}
    trees |= {f"{name}.py": ast.parse(dedent(other)) for name, other in others.items()}
    return Reader(trees).findings()


@pytest.mark.parametrize(
    "text",
    [
        "tx.fetch('SELECT $1', name)",
        "_A = 'SELECT'\ntx.fetch(_A + ' 1')",
        "_A = 'b'\ntx.fetch(f'SELECT {_A}')",
        "def f(page): tx.fetch(f'LIMIT {page.limit + 1:d}')",
        "def f(x): tx.fetch('a' if x else 'b')",
        """
        def f(conditions):
            where = ["a = $1"]
            for each in conditions:
                where.append("(" + each.sql.format(f"${len(where)}") + ")")
            tx.fetch(f"SELECT {' AND '.join(where)}")
        """,
        """
        def f(table): tx.fetch(f"SELECT 1 FROM {table}")
        def g(): f("orders")
        def h(): f(table="refunds")
        """,
        """
        _NAMES = ("a", "b")
        def f():
            places = ", ".join(f"{name} = ${index}" for index, name in enumerate(_NAMES, 3))
            tx.execute(f"UPDATE t SET {places}")
        """,
        """
        _TABLES = {"order": "orders"}
        def f(kind): tx.execute(f"SELECT 1 FROM {_TABLES[kind]}")
        """,
        "class D:\n    def fetch(self, query): return self.pool.fetch(query)",
        "Condition('a = {}', user)",
        "_TIMES = ('a', 'b')\n_FILTERS = [Filter(s, TIME, f't.{s}_at') for s in _TIMES]",
        "_SIGNS = {'eq': '='}\ndef f(a, op): Condition(f'{a.sql} {_SIGNS.get(op)} {{}}', 1)",
        "_LINE = 'EXISTS ({condition})'\nFilter('a', ANY, _LINE.format(condition='l.a = {}'))",
    ],
)
def test_constants_are_known_as_such(text: str) -> None:
    assert findings(text) == []


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("def f(name): tx.fetch(f'SELECT {name}')", "f'SELECT {name}'"),
        ("def f(name): tx.fetch('SELECT ' + name)\ndef g(call): f(call.name)", "'SELECT ' + name"),
        ("def f(name): tx.fetch('SELECT ' + name)\ndef g(): return f", "'SELECT ' + name"),
        ("tx.fetch('SELECT %s' % name)", "'SELECT %s' % name"),
        ("tx.execute('SELECT {}'.format(name))", "'SELECT {}'.format(name)"),
        ("tx.execute('SELECT {a}'.format(a=name))", "'SELECT {a}'.format(a=name)"),
        ("_A = {}\ntx.execute(_A.get(name, name))", "_A.get(name, name)"),
        ("def f(x):\n    a = {'b': 'c'}\n    a['b'] = x\n    tx.execute(a['b'])", "a['b']"),
        ("Filter('a', ANY, f't.{name}')", "f't.{name}'"),
        ("def f(names): tx.fetch(', '.join(f'{n} = 1' for n in names))",
         "', '.join((f'{n} = 1' for n in names))"),
        ("def f(row): tx.fetchval(row['sql'])", "row['sql']"),
        ("def f(page): tx.fetch(f'LIMIT {page.limit}')", "f'LIMIT {page.limit}'"),
        ("def f(a): tx.fetch(f'LIMIT {a:>3}')\nf('b')", "f'LIMIT {a:>3}'"),
        ("def f(a):\n    where = ['x']\n    where.append(a)\n    tx.fetch(' '.join(where))\n",
         "' '.join(where)"),
        ("def f(a):\n    sql = 'x'\n    sql += a\n    tx.fetch(sql)\n", "sql"),
        ("def f(a):\n    sql, n = a\n    tx.fetch(sql)\n", "sql"),
        ("def f(a):\n    for sql in a: tx.fetch(sql)\n", "sql"),
        ("def f(a): Condition(f'{a} = {{}}', 1)", "f'{a} = {{}}'"),
        ("def f(a): Condition(sql=a, argument=1)", "a"),
        ("def f(a): partial(tx.fetch, a)", "tx.fetch"),
        ("from refundry.there import SQL\ntx.fetch(SQL)", "SQL"),
        ("class D:\n    def all(self, query): return self.pool.fetch(query)", "query"),
    ],
)  # fmt: skip
def test_what_is_not_constant_is_found(text: str, piece: str) -> None:
    assert [each.text for each in findings(text, there="SQL = input()")] == [piece]


def test_constants_of_other_modules_are_followed() -> None:
    text = "from refundry.there import SQL\ntx.fetch(SQL)"
    assert findings(text, there="SQL = 'SELECT 1'") == []
