"""Pages that people read: the status page for users, rendered here and complete without a script.

    objects believed -> limits (pure) -> markup in the reader's language, or the JSON feed

A page says only what status says. What is for operators alone (numbers of GPUs, reasons of overrides, single users) is not on
the status page.
"""
