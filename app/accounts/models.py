"""Accounts. Each is a customer: a new one from the start, or one of the retailer's whom staff has linked it to."""

from __future__ import annotations

import secrets
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


def new_customer_id() -> str:
    """A new random id of 64 hexadecimal digits, as H&M's ids are."""
    return secrets.token_hex(32)


def normalized(email: str) -> str:
    """The one way in which an address is kept and looked for."""
    return email.strip().lower()


class UserManager(BaseUserManager["User"]):
    """Makes accounts; what is not named here cannot be set on the way."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=normalized(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """A member of staff (python -m app createsuperuser)."""
        return self.create_user(email, password, is_staff=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=normalized(username or ""))


class User(AbstractBaseUser):
    """Somebody with a password.

    `birth_date` and `taste` (index groups of the catalogue) are optional answers at sign-up.
    """

    email = models.EmailField("E-mail address", unique=True)
    customer_id = models.CharField(max_length=64, unique=True, default=new_customer_id)
    is_linked = models.BooleanField(default=False)
    birth_date = models.DateField(null=True, blank=True)
    taste = models.JSONField(default=list, blank=True)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    joined_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []


class SignUp(models.Model):
    """A sign-up that waits for whoever reads the address's mail; several of one address know nothing of each other."""

    token_hash = models.CharField(max_length=64, unique=True)
    email = models.EmailField(db_index=True)
    password = models.CharField(max_length=255)
    birth_date = models.DateField(null=True)
    taste = models.JSONField(default=list)
    attempts = models.PositiveSmallIntegerField(default=0)
    made_at = models.DateTimeField(auto_now_add=True, db_index=True)


class Limit(models.Model):
    """How often something was done in a window of time; `key` is a digest that identifies no person."""

    key = models.CharField(max_length=64, unique=True)
    count = models.PositiveIntegerField(default=0)
    ends_at = models.DateTimeField(db_index=True)
