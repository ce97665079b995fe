"""The contracts of the ports that a project can replace, as test classes to inherit from.

    class TestSesMailer(MailerContract):
        @pytest.fixture
        def mailer(self) -> Mailer:
            return SesMailer(...)

A contract tests every promise of its port. The subclass defines the fixtures that the contract
asks for; they may be asynchronous, have parameters, and use any other fixture.
"""

from backstay.testing.contracts.access_tokens import AccessTokensContract
from backstay.testing.contracts.breached_passwords import BreachedPasswordsContract
from backstay.testing.contracts.cache import CacheContract
from backstay.testing.contracts.contract import PassTime
from backstay.testing.contracts.limiter import LimiterContract
from backstay.testing.contracts.mail_templates import MailTemplatesContract
from backstay.testing.contracts.mail_tokens import MailTokensContract
from backstay.testing.contracts.mailer import Delivered, MailerContract
from backstay.testing.contracts.refresh_tokens import RefreshTokensContract

__all__ = [
    "AccessTokensContract",
    "BreachedPasswordsContract",
    "CacheContract",
    "Delivered",
    "LimiterContract",
    "MailTemplatesContract",
    "MailTokensContract",
    "MailerContract",
    "PassTime",
    "RefreshTokensContract",
]
