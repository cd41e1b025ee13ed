"""Pages that people read: the status page for users, and the console for operators.

    objects believed -> limits -> markup in the reader's language, or the JSON feed          status page, whole without a script
    objects, statuses of pools and scalers -> state, histories -> plots and tables           console, on a listener of its own

A page says only what status says. What is for operators alone (numbers of GPUs, reasons of overrides, single users) is not on
the status page.
"""
