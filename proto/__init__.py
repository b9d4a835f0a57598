"""Protobuf contracts of every topic and the modules generated from them."""
