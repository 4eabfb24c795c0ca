"""Protobuf to domain values and back; nothing else knows the API's messages but the servicers."""
