"""The routes of mailed links and their tokens."""

from backstay import Routes
from backstay.features.mail.commands.addresses import ResendVerification, VerifyEmail
from backstay.features.mail.commands.passwords import ForgotPassword, ResetPassword
from backstay.features.mail.routes.mailbox import kept_routes, mailbox_routes
from backstay.features.mail.routes.pages import FORGOT, RESET, VERIFY, page_routes

__all__ = ["kept_routes", "mailbox_routes", "page_routes", "routes"]

routes = Routes("/auth", tag="auth")
routes.post("/password/forgot", ForgotPassword, status=202, limit=FORGOT)
routes.post("/password/reset", ResetPassword, status=204, limit=RESET)
routes.post("/email/verify", VerifyEmail, status=204, limit=VERIFY)
routes.post("/email/verify/resend", ResendVerification, status=202, limit=VERIFY)
