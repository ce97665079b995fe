"""What the guide "Roles and permissions" promises, in the project that it makes."""

import ast
from pathlib import Path
from typing import Any

from backstay.testing import Login

API = "/api/v1"
STEPS = Path(__file__).with_name("steps.txt")
"""The blocks of the guide that wait for clients."""


async def test_the_steps_of_the_guide_narrow_a_role(login: Login) -> None:
    admin, ann, user = await login("admin"), await login(), await login()
    written = await ann.client.post(f"{API}/reviews", json={"text": "Rope", "stars": 5})
    review = written.json()["id"]
    names: dict[str, Any] = {"admin": admin.client, "user": user.client, "user_id": user.id}
    names["review_id"] = review
    await eval(compile(STEPS.read_text(), "roles", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    assert names["refused"].status_code == 403
    assert [error["field"] for error in names["refused"].json()["errors"]] == ["stars"]
    path = f"{API}/reviews/{review}"
    assert (await user.client.patch(path, json={"text": "Ropes"})).status_code == 200
    shown = (await user.client.get(f"{API}/users/me")).json()
    assert (shown["roles"], shown["permissions"]["reviews:update"]) == (
        ["moderator", "user"],
        "ANY",
    )
