from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "app.orders"

    def ready(self) -> None:
        from app.orders import signals  # noqa: F401 its receivers are registered
