import pytest
pytestmark = pytest.mark.anyio
@pytest.mark.parametrize("n", range(5))
async def test_app(client, n):
    r = await client.get("/livez")
    assert r.status_code == 200
@pytest.mark.parametrize("n", range(3))
async def test_login(login, n):
    await login()
