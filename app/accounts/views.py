"""Sign up, log in, passwords, the account's own page, and its end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from axes.models import AccessAttempt
from axes.utils import reset as unlock
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_required
from django.contrib.auth.hashers import check_password, make_password
from django.db import IntegrityError, transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from app.accounts import forms, mailroom
from app.accounts.limits import address, is_allowed, is_local
from app.accounts.models import SignUp, User
from app.events.models import Erasure

HOUR = 3600
#: Guesses at one sign-up's password.
CONFIRM_ATTEMPTS = 5
_BACKEND = "django.contrib.auth.backends.ModelBackend"

_page = require_http_methods(["GET", "HEAD", "POST"])


def too_many(request: HttpRequest) -> HttpResponse:
    """The same answer for whatever was done too often."""
    return render(request, "accounts/too_many.html", status=429)


def _site(request: HttpRequest) -> str:
    return f"{request.scheme}://{request.get_host()}"


@_page
@sensitive_post_parameters("password")
def sign_up(request: HttpRequest) -> HttpResponse:
    """Whether or not the address has an account: the same page, after the same time."""
    form = forms.SignUpForm(request.POST or None)
    if request.method == "POST":
        if not is_allowed("sign_up", address(request), 20, HOUR):
            return too_many(request)
        if form.is_valid():
            entered = form.cleaned_data
            mailroom.later(
                mailroom.sign_up, _site(request), entered["email"], make_password(entered["password"]),
                entered["birth_date"], entered.get("taste", []),
            )  # fmt: skip
            return redirect("accounts:check_mail")
    return render(request, "accounts/sign_up.html", {"form": form})


def check_mail(request: HttpRequest) -> HttpResponse:
    """What to do next."""
    folder = getattr(settings, "EMAIL_FILE_PATH", None) if is_local(request) else None
    return render(request, "accounts/check_mail.html", {"mail_folder": folder})


@_page
@sensitive_post_parameters("password")
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """Finish a sign-up: who has the link and knows the password is logged in. A link that is over says no more."""
    form = forms.ConfirmForm(request.POST or None)
    if request.method == "POST":
        if not is_allowed("confirm", address(request), 30, HOUR):
            return too_many(request)
        if form.is_valid():
            user = _confirmed(token, form.cleaned_data["password"])
            if user is not None:
                login(request, user, _BACKEND)
                messages.success(request, "Welcome. Your account is ready.")
                return redirect("catalog:home")
            form.add_error("password", "Wrong password, or the link is over. You can sign up again.")
    return render(request, "accounts/confirm.html", {"form": form})


def _confirmed(token: str, password: str) -> User | None:
    """The account that is made of the sign-up; None where there is none such."""
    since = timezone.now() - timedelta(hours=mailroom.SIGN_UP_HOURS)
    waiting = SignUp.objects.filter(
        token_hash=mailroom.token_hash(token), made_at__gte=since, attempts__lt=CONFIRM_ATTEMPTS
    )
    if not waiting.update(attempts=F("attempts") + 1):
        return None
    pending = SignUp.objects.get(token_hash=mailroom.token_hash(token))
    if not check_password(password, pending.password):
        return None
    try:
        with transaction.atomic():
            user = User.objects.create(
                email=pending.email, password=pending.password, birth_date=pending.birth_date, taste=pending.taste
            )
            SignUp.objects.filter(email=pending.email).delete()
    except IntegrityError:  # another sign-up of this address was finished meanwhile
        return None
    return user


class Login(auth.LoginView):
    """Lock-out is django-axes's: by address and account, whether or not there is such an account."""

    form_class = forms.LoginForm
    template_name = "accounts/login.html"

    def post(self, request: HttpRequest, *arguments: Any, **options: Any) -> HttpResponse:
        email = request.POST.get("username", "")[:254].strip().lower()
        if not is_allowed("login", address(request), 60, HOUR // 4) or not is_allowed("login_to", email, 500, HOUR):
            return too_many(request)
        return super().post(request, *arguments, **options)


class ChangePassword(auth.PasswordChangeView):
    """All other sessions of the account end."""

    form_class = forms.ChangePasswordForm
    template_name = "accounts/change_password.html"
    success_url = reverse_lazy("accounts:account")

    def post(self, request: HttpRequest, *arguments: Any, **options: Any) -> HttpResponse:
        if not is_allowed("password", str(request.user.pk), 10, HOUR // 4):
            return too_many(request)
        return super().post(request, *arguments, **options)

    def form_valid(self, form: Any) -> HttpResponse:
        messages.success(self.request, "Your password is changed. You are logged out everywhere else.")
        return super().form_valid(form)


class Reset(auth.PasswordResetView):
    """The same page, after the same time, for every address."""

    form_class = forms.ResetForm
    template_name = "accounts/reset.html"
    success_url = reverse_lazy("accounts:check_mail")

    def form_valid(self, form: Any) -> HttpResponse:
        if not is_allowed("reset", address(self.request), 20, HOUR):
            return too_many(self.request)
        mailroom.later(mailroom.reset, _site(self.request), form.cleaned_data["email"])
        return HttpResponseRedirect(str(self.success_url))


class ResetConfirm(auth.PasswordResetConfirmView):
    """A new password ends all sessions and any lock-out."""

    form_class = forms.NewPasswordForm
    template_name = "accounts/reset_confirm.html"
    success_url = reverse_lazy("accounts:login")

    def form_valid(self, form: Any) -> HttpResponse:
        unlock(username=form.user.email)
        messages.success(self.request, "Your new password is set. You can log in with it.")
        return super().form_valid(form)


@_page
@login_required
def account(request: HttpRequest) -> HttpResponse:
    """What the shop knows of the person, and what they can change."""
    user = request.user
    form = forms.TasteForm(request.POST or None, initial={"birth_date": user.birth_date, "taste": user.taste})
    if request.method == "POST" and form.is_valid():
        user.birth_date = form.cleaned_data["birth_date"]
        user.taste = form.cleaned_data.get("taste", user.taste)
        user.save(update_fields=["birth_date", "taste"])
        messages.success(request, "Saved.")
        return redirect("accounts:account")
    return render(request, "accounts/account.html", {"form": form})


@_page
@login_required
@sensitive_post_parameters("password")
def delete(request: HttpRequest) -> HttpResponse:
    """The account goes, with basket, wishes and orders; its events stay, anonymised (app.events.erasure)."""
    form = forms.DeleteForm(request.POST or None)
    if request.method == "POST":
        if not is_allowed("password", str(request.user.pk), 10, HOUR // 4):
            return too_many(request)
        if form.is_valid() and request.user.check_password(form.cleaned_data["password"]):
            user = User.objects.get(pk=request.user.pk)
            with transaction.atomic():
                Erasure.objects.create(customer_id=user.customer_id)
                AccessAttempt.objects.filter(username=user.email).delete()
                user.delete()
            logout(request)
            messages.success(request, "Your account is deleted.")
            return redirect("catalog:home")
        if form.is_valid():
            form.add_error("password", "That is not your password.")
    return render(request, "accounts/delete.html", {"form": form})


class Logout(auth.LogoutView):
    """By POST only, as Django has it; whoever uses the browser next is another visitor."""

    next_page = reverse_lazy("catalog:home")
