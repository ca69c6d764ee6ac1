from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "app.accounts"

    def ready(self) -> None:
        from app.accounts import signals  # noqa: F401 its receivers are registered
