"""Other frameworks' session interfaces, a module each, over the same rows: whoever wrote a message, all can read it.

They are imported by path (`from sessionstore.adapters.oats import SessionStorage`); the core knows none of them.
"""
