"""What people type about themselves, checked. Nothing that is not a field here can be set from a browser."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.contrib.auth import password_validation
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, PasswordResetForm, SetPasswordForm
from django.utils import timezone

from app.accounts.models import User, normalized
from app.accounts.tastes import tastes

#: No password is longer: hashing it would cost time.
MAX_PASSWORD = 256
_OLDEST = 110


class Email(forms.EmailField):
    """An address, in the form in which it is kept."""

    def __init__(self, **options: Any) -> None:
        widget = forms.EmailInput(attrs={"autocomplete": "username", "autocapitalize": "none"})
        super().__init__(**{"label": "E-mail address", "max_length": 254, "widget": widget} | options)

    def clean(self, value: Any) -> str:
        return normalized(super().clean(value))


def password_field(label: str, autocomplete: str, **options: Any) -> forms.CharField:
    widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
    return forms.CharField(label=label, max_length=MAX_PASSWORD, strip=False, widget=widget, **options)


class TasteForm(forms.Form):
    """What helps with the first picks; all of it optional."""

    birth_date = forms.DateField(
        label="Date of birth (optional)",
        required=False,
        widget=forms.DateInput(attrs={"type": "date", "autocomplete": "bday"}, format="%Y-%m-%d"),
    )
    taste = forms.MultipleChoiceField(
        label="What do you look for? (optional)", required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fields["taste"].choices = [(name, name) for name in tastes()]
        if not self.fields["taste"].choices:
            del self.fields["taste"]

    def clean_birth_date(self) -> date | None:
        born: date | None = self.cleaned_data["birth_date"]
        today = timezone.now().date()
        if born is not None and not today.year - _OLDEST <= born.year <= today.year:
            raise forms.ValidationError("Give the date on which you were born, or none.")
        if born is not None and born > today:
            raise forms.ValidationError("This day is still to come.")
        return born


class SignUpForm(TasteForm):
    """A new account."""

    email = Email()
    password = password_field(
        "Password", "new-password", help_text="At least ten characters; not one that many people use."
    )
    field_order = ("email", "password", "birth_date", "taste")

    def clean(self) -> dict[str, Any] | None:
        password, email = self.cleaned_data.get("password"), self.cleaned_data.get("email")
        if password and email:
            try:
                password_validation.validate_password(password, User(email=email))
            except forms.ValidationError as error:
                self.add_error("password", error)
        return self.cleaned_data


class ConfirmForm(forms.Form):
    """The password that was chosen at sign-up, by whoever reads the address's mail."""

    password = password_field("The password that you chose", "current-password")


class LoginForm(AuthenticationForm):
    """E-mail address and password."""

    username = Email(widget=forms.EmailInput(attrs={"autocomplete": "username", "autocapitalize": "none"}))
    password = password_field("Password", "current-password")
    error_messages = {  # noqa: RUF012 as Django has it
        "invalid_login": "That address and password are not an account's. Have you finished your sign-up?",
        "inactive": "That address and password are not an account's. Have you finished your sign-up?",
    }


class ResetForm(PasswordResetForm):
    """Where to send the link for a new password."""

    email = Email()


class NewPasswordForm(SetPasswordForm):
    """A new password, twice."""

    new_password1 = password_field("New password", "new-password")
    new_password2 = password_field("New password again", "new-password")


class ChangePasswordForm(NewPasswordForm, PasswordChangeForm):
    """The old password and a new one."""

    old_password = password_field("Current password", "current-password")
    field_order = ("old_password", "new_password1", "new_password2")


class DeleteForm(forms.Form):
    """The password, before all is gone."""

    password = password_field("Your password", "current-password")


class LinkForm(forms.Form):
    """Staff: which account is which of the retailer's customers."""

    email = Email(label="E-mail address of the account", widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    customer_id = forms.RegexField(
        label="Customer (customer_id of silver/customers); none makes the account a new customer again",
        regex=r"^[A-Za-z0-9_-]{1,64}$",
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
