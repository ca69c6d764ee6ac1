"""Addresses of basket, wish list and orders."""

from __future__ import annotations

from django.urls import path

from app.orders import views

app_name = "orders"
urlpatterns = [
    path("basket/", views.basket, name="basket"),
    path("basket/add/", views.add, name="add"),
    path("basket/change/", views.change, name="change"),
    path("wishes/", views.wishes, name="wishes"),
    path("wishes/add/", views.wish, name="wish"),
    path("wishes/remove/", views.unwish, name="unwish"),
    path("checkout/", views.checkout, name="checkout"),
    path("orders/", views.orders, name="orders"),
    path("orders/<uuid:order_id>/", views.order, name="order"),
]
