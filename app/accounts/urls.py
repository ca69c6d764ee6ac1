"""Addresses below account/."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.urls import path

from app.accounts import staff, views

app_name = "accounts"
urlpatterns = [
    path("", views.account, name="account"),
    path("sign-up/", views.sign_up, name="sign_up"),
    path("check-mail/", views.check_mail, name="check_mail"),
    path("confirm/<str:token>/", views.confirm, name="confirm"),
    path("login/", views.Login.as_view(), name="login"),
    path("logout/", views.Logout.as_view(), name="logout"),
    path("password/", login_required(views.ChangePassword.as_view()), name="password"),
    path("reset/", views.Reset.as_view(), name="reset"),
    path("reset/<str:uidb64>/<str:token>/", views.ResetConfirm.as_view(), name="reset_confirm"),
    path("delete/", views.delete, name="delete"),
    path("staff/link/", staff.link, name="link"),
]
