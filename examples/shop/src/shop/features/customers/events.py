"""What happens to customers; features that require this one publish it."""

from typing import ClassVar
from uuid import UUID

from backstay import Event


class CustomerOrdered(Event):
    """A customer has ordered something."""

    aggregate: ClassVar[str] = "customer_id"

    customer_id: UUID
