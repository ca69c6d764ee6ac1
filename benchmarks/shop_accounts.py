"""For benchmarks.shop: python -m benchmarks.shop_accounts CUSTOMER_ID ...; prints a session cookie of each."""

from __future__ import annotations

import sys


def main() -> None:
    """Make the accounts, linked to these customers, and sign each in."""
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.test import Client

    call_command("migrate", verbosity=0)
    model = get_user_model()
    for number, customer_id in enumerate(sys.argv[1:]):
        user = model(email=f"{number}@example.org", customer_id=customer_id)
        user.set_unusable_password()
        user.save()
        client = Client(SERVER_NAME="127.0.0.1")
        client.force_login(user)
        name = settings.SESSION_COOKIE_NAME
        print(f"{name}={client.cookies[name].value}")


if __name__ == "__main__":
    main()
