"""The HTTP door for programs: strict parsing, authentication, problems, and the ASGI application.

It turns bytes into commands and decisions into bytes. It must never decide what is allowed, and
never write a record: that is what the engine below it does.
"""
