"""Every statement that stands by itself in the queue's package, found by what it is, in whatever module it lies.

- a public function that returns one: for a destination or for its columns, with whatever else it takes from EXAMPLES
- a value at the top of a module: a statement, or a tuple of them
- a condition on contacts, which other statements are made of: a public function of the columns that returns a boolean
"""

import ast
import importlib
import inspect
import itertools
import pkgutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from types import ModuleType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import sqlalchemy as sa

from crm_sync_pipeline import contact_queue
from crm_sync_pipeline.contact_queue.database.columns import DestinationColumns
from crm_sync_pipeline.contact_queue.database.contacts_table import Column, ContactsTable
from crm_sync_pipeline.contact_queue.database.indexes import PartialIndex
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.domain.contact_filter import OWN, ContactFilter
from crm_sync_pipeline.domain.crm import Crm
from crm_sync_pipeline.domain.transition import ProcessingStatus, SyncStatus

DIALECT = sa.create_engine("postgresql+psycopg://").dialect
"""As the product's engine has it."""

_OF_ALL = (
    "id",
    "email",
    "created_at",
    "updated_at",
    "retry_count",
    "next_retry_at",
    "last_retry_at",
    "last_failed_crm",
)
_SENT = ("name", "phone_number", "domain_id", "page_id", "email_type", "source_url", "has_gmail")
_COLUMNS = (*_OF_ALL, *_SENT, *(name for crm in CRMS.values() for name in crm.columns))

CONTACTS = ContactsTable(
    "public",
    "contacts",
    {
        name: Column(name, kind, False, kind)
        for name in _COLUMNS
        for kind in ["boolean" if name == "has_gmail" else "text"]
    },
    crms=CRMS,
)
"""The table that the pages are for: `public.contacts` with every column that crm_sync_pipeline knows."""

BREVO = DestinationColumns.of(CONTACTS, CRMS["brevo"])

_FILTER = ContactFilter(
    statuses={OWN: (SyncStatus.Complete,), "hubspot": (SyncStatus.New,)},
    states=(ProcessingStatus.Complete, ProcessingStatus.Error),
    reasons=("http_503",),
    failed_since=timedelta(days=1),
    failed_until=timedelta(hours=1),
    email_type="CORPORATE",
    domain_id="00000000-0000-4000-8000-0000000000d1",
    page_id="00000000-0000-4000-8000-0000000000e1",
    has_gmail=True,
    email_contains="@example.com",
    name_contains="ann",
)

EXAMPLES: Mapping[Any, tuple[Any, ...]] = {
    DestinationColumns: (BREVO, replace(BREVO, hides_rows=True)),
    ContactsTable: (CONTACTS,),
    Crm: (CRMS["brevo"],),
    "destination": ("brevo",),
    bool: (False, True),
    SyncStatus: (SyncStatus.Complete,),
    ProcessingStatus: (ProcessingStatus.Complete,),
    ContactFilter: (_FILTER,),
    "limit": (20,),
    "several": ((BREVO, DestinationColumns.of(CONTACTS, CRMS["hubspot"])),),
    "ids_shown": (10,),
    "act_id": (1,),
    "contacts": (10,),
    "values": ({"actor": "ann", "verb": "select", "destinations": ["brevo"], "scope": "all contacts", "contacts": 0},),
    "meant": ({"fresh": BREVO.is_fresh, "queued": BREVO.is_queued},),
}
"""What a function is called with, by a parameter's type or else its name: each of these, in all combinations."""


class NoExampleError(LookupError):
    """A parameter is new here."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A compiled statement as one call of its function makes it. `when` says which call, "" where there is only one."""

    compiled: Any
    when: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A statement, or a few that one function makes. `used_by`: functions and values of the package that name it."""

    name: str
    description: str
    used_by: tuple[str, ...]
    variants: tuple[Variant, ...]
    is_condition: bool = False


def statements() -> list[Found]:
    """All of them, by name; two of one name may follow one another."""
    modules = list(_modules())
    users = _users(modules)
    found = [each for module in modules for each in (*_functions(module, users), *_values(module, users))]
    return sorted(found, key=lambda each: each.name)


def _modules() -> Iterator[ModuleType]:
    for module in pkgutil.walk_packages(contact_queue.__path__, f"{contact_queue.__name__}."):
        if "migrations" not in module.name.split("."):  # Alembic's, which run when they are imported
            yield importlib.import_module(module.name)


def _functions(module: ModuleType, users: Mapping[int, set[str]]) -> Iterator[Found]:
    for name, function in vars(module).items():
        is_ours = callable(function) and getattr(function, "__module__", "") == module.__name__
        if name.startswith("_") or not is_ours or inspect.isclass(function):
            continue
        hints = get_type_hints(function)
        makes = hints.pop("return", None)
        is_condition = makes == sa.ColumnElement[bool] and DestinationColumns in hints.values()
        is_built_once = hasattr(function, "cache_parameters") and {"columns", "destination"} & hints.keys()
        takes_sql = any(_is(hint, sa.ClauseElement) for hint in hints.values())  # so it makes a part of a statement
        makes_some = is_built_once or _is(makes, sa.Executable) or _is(makes, PartialIndex)
        if takes_sql or not (is_condition or makes_some):
            continue
        variants = tuple(_variants(function, hints, is_condition=is_condition))
        used_by = tuple(sorted(users[id(function)] - {name}))
        yield Found(name, inspect.getdoc(function) or "", used_by, variants, is_condition)


def _is(hint: Any, kind: type) -> bool:
    """Whether a type, or one that it is made of, is of that kind: Select[Any], Delete | Update, tuple[Update, ...]."""
    origin = get_origin(hint)
    if origin in (Union, UnionType, tuple):
        return any(_is(each, kind) for each in get_args(hint))
    return inspect.isclass(origin or hint) and issubclass(origin or hint, kind)


def _variants(function: Callable[..., Any], hints: Mapping[str, Any], *, is_condition: bool) -> Iterator[Variant]:
    choices = [_examples(function, name, hint) for name, hint in hints.items()]
    seen: set[str] = set()
    for values in itertools.product(*choices):
        arguments = dict(zip(hints, values, strict=True))
        made = function(**arguments)
        if is_condition:
            made = sa.select(BREVO.id).where(made)
        several = made if isinstance(made, tuple) else (made,)
        for number, each in enumerate(several, 1):
            statement = _of_index(function, each) if isinstance(each, PartialIndex) else each
            compiled = _compiled(statement)
            if compiled.string not in seen:
                seen.add(compiled.string)
                yield Variant(compiled, _when(arguments, number if len(several) > 1 else 0))


def _compiled(statement: Any) -> Any:
    return statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})


def _of_index(function: Callable[..., Any], index: PartialIndex) -> sa.TextClause:
    """What is done with an index: one that is outdated is only ever dropped."""
    done = index.drop if "outdated" in function.__name__ else index.create
    return sa.text(done.replace(":", r"\:"))


def _examples(function: Callable[..., Any], name: str, hint: Any) -> tuple[Any, ...]:
    found = EXAMPLES.get(hint) if inspect.isclass(hint) else None
    if found is None:
        found = EXAMPLES.get(name)
    if found is None:
        where = f"{function.__module__}.{function.__qualname__}"
        raise NoExampleError(
            f"{where} makes a statement from the parameter {name!r}, for which EXAMPLES in {__name__} has no value. "
            "Add one, by its type or its name. Or if the function makes a part of others, begin its name with _."
        )
    return found


def _when(arguments: Mapping[str, Any], number: int) -> str:
    said = [f"{name} is {value}" for name, value in arguments.items() if isinstance(value, bool)]
    if any(isinstance(value, DestinationColumns) and value.hides_rows for value in arguments.values()):
        said.append("row-level security may hide contacts")
    which = f"Statement {number}" if number else ""
    return ". ".join(filter(None, (which, f"Where {' and '.join(said)}" if said else "")))


def _values(module: ModuleType, users: Mapping[int, set[str]]) -> Iterator[Found]:
    body = _tree(module).body
    for node, behind in itertools.zip_longest(body, body[1:]):
        for name in _assigned(node):
            value = getattr(module, name)
            made = value if isinstance(value, tuple) else (value,)
            # Text is a whole statement. What is built and private may be the beginning of another.
            kind: Any = sa.TextClause if name.startswith("_") else sa.Executable
            if made and all(isinstance(each, kind) and not isinstance(each, sa.ColumnElement) for each in made):
                variants = tuple(
                    Variant(_compiled(each), _when({}, number if len(made) > 1 else 0))
                    for number, each in enumerate(made, 1)
                )
                yield Found(name.lstrip("_").lower(), _string(behind), tuple(sorted(users[id(value)])), variants)


def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def _assigned(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _string(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return inspect.cleandoc(node.value.value)
    return ""


def _users(modules: list[ModuleType]) -> dict[int, set[str]]:
    """By the id of an object: the functions, methods and values whose source names it."""
    users: dict[int, set[str]] = defaultdict(set)
    for module in modules:
        for name, node in _named(_tree(module)):
            for used in ast.walk(node):
                users[id(_named_object(module, used))].add(name)
    return users


def _named(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{each.name}", each) for each in node.body if isinstance(each, ast.FunctionDef))
        elif isinstance(node, ast.FunctionDef):
            yield node.name, node
        else:
            yield from ((name, node) for name in _assigned(node))


def _named_object(module: ModuleType, node: ast.AST) -> object:
    if isinstance(node, ast.Name):
        return getattr(module, node.id, None)
    if isinstance(node, ast.Attribute) and isinstance(owner := _named_object(module, node.value), ModuleType):
        return getattr(owner, node.attr, None)
    return None
