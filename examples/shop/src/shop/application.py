"""The application: everything that the shop adds to Backstay."""

from backstay import STANDARD, Application, features_of

from shop.roles import MANAGER
from shop.routers import router
from shop.settings import ShopSettings

application = Application(
    "shop",
    features=(*STANDARD, *features_of("shop.features")),
    settings=(ShopSettings,),
    roles=(MANAGER,),
    routers=(router,),
)
