-- Postgres runs it once, when its volume is new.
CREATE DATABASE shop;
