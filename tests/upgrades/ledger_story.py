"""A ledger: written by hand on a bare project, with ejected mail and mails of its own."""

from tests.upgrades.story import (
    LATER,
    Story,
    appended,
    changed,
    command,
    together,
    written,
)

_ACCOUNTS = "src/ledger/features/accounts"
_MODEL = '''"""The accounts of a ledger."""

from backstay import Entity
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column


class LedgerAccount(Entity):
    """An account, which is nobody's."""

    __tablename__ = "ledger_accounts"

    name: Mapped[str] = mapped_column(String(80))
'''
_MESSAGES = '''"""What can be asked of accounts."""

from uuid import UUID

from backstay import (
    GetMe,
    Principal,
    Profile,
    Reader,
    Resource,
    Query,
    Scope,
    Transaction,
    View,
    columns_of,
    get_me,
    handles,
    Command,
    TagContext,
)
from sqlalchemy import select

from ledger.features.accounts.model import LedgerAccount


class LedgerAccountView(View):
    """An account."""

    id: UUID
    name: str


ACCOUNTS = Resource("ledger_accounts", LedgerAccount, LedgerAccountView, default_scope=Scope.ANY)
_ALL = select(*columns_of(LedgerAccountView, LedgerAccount)).order_by(LedgerAccount.id)


class OpenAccount(Command[LedgerAccountView]):
    """Open an account."""

    permission = ACCOUNTS.create

    name: str


@handles(OpenAccount)
async def open_account(command: OpenAccount, session: Transaction) -> LedgerAccountView:
    row = await session.insert_one(LedgerAccount(name=command.name))
    return LedgerAccountView.model_validate(row)


class LedgerAccounts(View):
    """Every account."""

    accounts: tuple[LedgerAccountView, ...]


class ListAccounts(Query[LedgerAccounts]):
    """Every account."""

    permission = ACCOUNTS.list


@handles(ListAccounts)
async def list_accounts(query: ListAccounts, reader: Reader) -> LedgerAccounts:
    found = [LedgerAccountView.model_validate(row) for row in await reader.rows(_ALL)]
    return LedgerAccounts(accounts=tuple(found))


@handles(GetMe, instead_of=get_me)
async def get_me_loudly(query: GetMe, principal: Principal) -> Profile:
    profile = await get_me(query, principal)
    return profile.model_copy(update={"name": (profile.name or "").upper()})


def tag_of(context: TagContext) -> str:
    """Not used: it only names what releases rename."""
    return repr(context)
'''
_ROUTES = '''"""Where accounts are reached."""

from backstay import Routes

from ledger.features.accounts.messages import OpenAccount

routes = Routes("/accounts", tag="accounts", about="Accounts.")
routes.post("", OpenAccount)
'''
_MANIFEST = '''"""Accounts, by hand."""

from backstay import Feature

feature = Feature("accounts", __name__, requires=("users",))
'''
_ACCOUNT_TEST = '''"""Accounts are opened."""

from backstay.testing import Person


async def test_an_account_is_opened(ann: Person) -> None:
    made = await ann.client.post("/api/v1/accounts", json={"name": "Rent"})
    assert made.status_code == 200, made.text
    assert (await ann.client.get("/api/v1/users/me")).json()["name"] == ""
'''
_MAIL = "src/ledger/templates/mail"
_GREETING = "\nGreetings from {{ app_name }}\n"
_COPIES = "src/ledger/ejected/backstay/features"

LEDGER = Story(
    "ledger",
    ("--bare", "--database", "postgresql"),
    together(
        changed("pyproject.toml", "--database=postgresql", "--database=sqlite"),
        written(f"{_MAIL}/reset_password.txt", "A new password\n\nOpen this: {{ url }}\n"),
        written(f"{_MAIL}/reset_password.html", "<p>Open this: {{ url }}</p>\n"),
        command("eject", "tasks"),
        command("uneject", "tasks"),
        command("eject", "mail"),
    ),
    together(
        written(f"{_ACCOUNTS}/__init__.py", _MANIFEST),
        written(f"{_ACCOUNTS}/model.py", _MODEL),
        written(f"{_ACCOUNTS}/messages.py", _MESSAGES),
        written(f"{_ACCOUNTS}/routes.py", _ROUTES),
        written("tests/test_accounts.py", _ACCOUNT_TEST),
        changed(f"{_COPIES}/mail/__init__.py", 'every("1h", Purge', 'every("2h", Purge'),
        appended(f"{_MAIL}/verify_email.txt", "\nYours, the ledger\n"),
        changed(f"{_MAIL}/layout.html", "#f4f5f7", "#ffffff"),
        appended("src/ledger/migrations/README.md", "\nOurs are numbered by the year.\n"),
        command("db", "revision", "accounts"),
    ),
    between={
        1: (
            changed(
                f"{_ACCOUNTS}/routes.py",
                'routes.post("", OpenAccount)\n',
                'routes.post("", OpenAccount)\nroutes.get("", ListAccounts)\n',
            ),
            changed(
                f"{_ACCOUNTS}/routes.py", "import OpenAccount", "import ListAccounts, OpenAccount"
            ),
        ),
        4: (command("eject", "items"),),
        5: (
            appended(f"{_COPIES}/items/queries.py", LATER),
            changed(f"{_COPIES}/items/model.py", '"""An item that', '"""A thing that'),
        ),
        7: (changed(f"{_MAIL}/layout.html", "#ffffff", "#fffff0"),),
    },
    settle={
        6: {
            f"{_MAIL}/verify_email.txt": changed(
                f"{_MAIL}/verify_email.txt", "\nYours, the ledger\n", f"{_GREETING}\nThe ledger\n"
            )
        },
    },
)
"""Written by hand, with ejected mail and templates of its own."""
