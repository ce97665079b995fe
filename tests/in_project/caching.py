"""What the guide "Caching and limits" promises, in the project that it makes."""

import sys

from backstay.testing import Login

API = "/api/v1"


async def test_the_feature_of_the_guide_keeps_and_outdates(login: Login) -> None:
    ada = await login()
    counted = f"{API}/statistics/reviews"
    assert (await ada.client.get(counted)).json() == {"reviews": 0}
    await ada.client.post(f"{API}/reviews", json={"text": "rope", "stars": 5})
    answer = await ada.client.get(counted)
    assert answer.json() == {"reviews": 1}
    assert answer.headers["cache-control"] == "private, max-age=30"
    closed = await ada.client.post(f"{API}/statistics/harbours/home/close")
    assert closed.status_code == 204
    for _ in range(2):
        weather = await ada.client.get(f"{API}/statistics/weather/Kiel")
        assert weather.json() == {"place": "Kiel", "wind": "none"}
    assert vars(sys.modules["shop.features.statistics"])["asked"] == ["Kiel"]
