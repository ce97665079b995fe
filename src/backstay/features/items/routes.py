"""The routes of items."""

from backstay import Routes
from backstay.features.items.commands import (
    CreateItem,
    DeleteItem,
    ReplaceItem,
    RestoreItem,
    UpdateItem,
)
from backstay.features.items.queries import GetItem, ListItems, ListItemsOfUser

routes = Routes("", tag="items", about="Items, each of which belongs to a user.")
routes.post("/items", CreateItem, location="/items/{id}")
routes.get("/items", ListItems)
routes.get("/items/{id}", GetItem)
routes.put("/items/{id}", ReplaceItem)
routes.patch("/items/{id}", UpdateItem)
routes.delete("/items/{id}", DeleteItem)
routes.post("/items/{id}/restore", RestoreItem)
routes.get("/users/{id}/items", ListItemsOfUser)
