"""Staff: which account is which of the retailer's customers."""

from __future__ import annotations

import logging

from django.contrib import messages
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from app.accounts.forms import LinkForm
from app.accounts.models import User, new_customer_id
from app.catalog.shop import tables
from app.catalog.staff import staff_only
from app.tables.snapshot import Unavailable
from app.tables.store import Source
from expectations.customers import CUSTOMERS

log = logging.getLogger(__name__)


@require_http_methods(["GET", "HEAD", "POST"])
@staff_only
def link(request: HttpRequest) -> HttpResponse:
    """Make an account one of the retailer's customers, or a new one again."""
    form = LinkForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and _linked(request, form):
        return redirect("accounts:link")
    return render(request, "accounts/link.html", {"form": form})


def _linked(request: HttpRequest, form: LinkForm) -> bool:
    """Do as the form says; what is in the way is added to it."""
    user = User.objects.filter(email=form.cleaned_data["email"]).first()
    customer_id = form.cleaned_data["customer_id"]
    if user is None:
        form.add_error("email", "There is no such account.")
        return False
    try:
        if customer_id and not _exists(customer_id):
            form.add_error("customer_id", "silver/customers has no such customer.")
            return False
    except Unavailable as error:
        form.add_error("customer_id", str(error))
        return False
    user.customer_id, user.is_linked = customer_id or new_customer_id(), bool(customer_id)
    try:
        user.save(update_fields=["customer_id", "is_linked"])
    except IntegrityError:
        form.add_error("customer_id", "This customer has an account already.")
        return False
    log.info("account %d was %s by account %d", user.pk, "linked" if customer_id else "unlinked", request.user.pk)
    messages.success(request, f"{user.email} is {f'customer {customer_id}' if customer_id else 'a new customer'} now.")
    return True


def _exists(customer_id: str) -> bool:
    reading = tables().reading()
    source = Source(CUSTOMERS, ("customer_id",))
    return bool(
        reading.query("SELECT 1 FROM @customers WHERE customer_id = $id", {"customers": source}, {"id": customer_id})
    )
